package conformance_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// allowRow is one recorded answer of Datasette's actor_matches_allow.
type allowRow struct {
	Actor, Allow, Result json.RawMessage
}

// want is the answer here. Where Datasette fails with an error it is no, but
// for 1 and 0, which stand for true and false in a block of configuration.
func (r allowRow) want() bool {
	return string(r.Result) == "true" || string(r.Allow) == "1"
}

// actor is the actor of the row as a cookie can carry it: what is no mapping,
// or an empty one, is nobody.
func (r allowRow) actor() (actor secrets.Actor, same bool) {
	err := json.Unmarshal(r.Actor, &actor)
	return actor, string(r.Actor) == "null" || err == nil && len(actor) > 0
}

func Test10AllowVectors(t *testing.T) {
	t.Parallel()
	var rows []allowRow
	readVectors(t, "allow.json", &rows)
	blocks := map[string][]allowRow{}
	for _, r := range rows {
		var block bytes.Buffer
		if err := json.Compact(&block, r.Allow); err != nil {
			t.Fatal(err)
		}
		blocks[block.String()] = append(blocks[block.String()], r)
	}
	for block, rows := range blocks {
		t.Run(block, func(t *testing.T) {
			t.Parallel()
			checkBlock(t, block, rows)
		})
	}
}

// checkBlock asks a host with a block for both of the permissions that have a
// block: manage-secrets, denied by default, and view-instance, allowed by
// default.
func checkBlock(t *testing.T, block string, rows []allowRow) {
	t.Helper()
	args := []string{"-s", "permissions.manage-secrets", block, "-s", "allow", block}
	if malformed(block) {
		got := harness.Run(t, "", append(args, "--get", "/")...)
		if got.Code != 1 || !strings.Contains(got.Stderr, "permissions.manage-secrets") {
			t.Errorf("a malformed block: exit code %d\n%s", got.Code, got.Stderr)
		}
		return
	}
	host := start(t, args...)
	for _, r := range rows {
		actor, same := r.actor()
		if !same {
			checkNobody(t, host, r)
			continue
		}
		wantAllowed(t, host.Get(t, "/-/versions.json", actor), r.want())
		// A null block is none, and there is no other rule for this one.
		wantAllowed(t, host.Get(t, "/-/secrets", actor), r.want() && block != "null")
	}
}

func malformed(block string) bool {
	switch block[0] {
	case '"', '[':
		return true
	}
	return strings.Contains(block, `{"o":{`)
}

func wantAllowed(t *testing.T, r harness.Response, allowed bool) {
	t.Helper()
	if allowed {
		wantStatus(t, r, http.StatusOK)
	} else {
		wantStatus(t, r, http.StatusForbidden)
	}
}

// checkNobody sends a cookie with an actor that is none, which must not be
// allowed more than somebody who is not signed in.
func checkNobody(t *testing.T, host *harness.Process, r allowRow) {
	t.Helper()
	cookie := sign(t, "actor", map[string]any{"a": r.Actor})
	for _, path := range []string{"/-/versions.json", "/-/secrets"} {
		with := host.Do(t, harness.Request{Path: path, Cookie: "ds_actor=" + cookie})
		wantStatus(t, with, host.Get(t, path, nil).StatusCode)
	}
}

// truth is one row of the table of who may manage secrets.
type truth struct {
	block      string // permissions.manage-secrets; empty: absent
	more       []string
	actor      secrets.Actor
	plain      int // the status of /-/secrets without --root
	rootIsRoot int // with --root
}

func truths() []truth {
	const yes, no = http.StatusOK, http.StatusForbidden
	bob, admin := secrets.Actor{"id": "bob"}, secrets.Actor{"id": "admin"}
	restricted := func(id string, r map[string]any) secrets.Actor { return secrets.Actor{"id": id, "_r": r} }
	manage := []string{"manage-secrets"}
	return []truth{
		{"", nil, root(), no, yes},
		{"", nil, bob, no, no},
		{"", nil, nil, no, no},
		{"null", nil, root(), no, yes},
		{`{"id": "root"}`, nil, root(), yes, yes},
		{`{"id": "admin"}`, nil, root(), no, no}, // a block that names somebody else shuts out root too
		{`{"id": "admin"}`, nil, admin, yes, yes},
		{"true", nil, nil, yes, yes},
		{"1", nil, nil, yes, yes},
		{"false", nil, root(), no, no},
		{"0", nil, root(), no, no},
		{"{}", nil, root(), no, no},
		{`{"unauthenticated": true}`, nil, nil, yes, yes},
		{`{"unauthenticated": true}`, nil, root(), no, no},
		{`{"id": "root"}`, []string{"--default-deny"}, root(), yes, yes},
		{`{"id": "root"}`, []string{"-s", "allow.id", "bob"}, root(), yes, yes},
		{`{"name": "x"}`, nil, secrets.Actor{"name": "x"}, yes, yes},
		{`{"id": 1}`, nil, secrets.Actor{"id": "1"}, no, no},
		{`{"id": 1}`, nil, secrets.Actor{"id": 1}, yes, yes},
		{"", []string{"-s", "databases.data.permissions.manage-secrets", "true"}, bob, no, no},

		// Restrictions take away, and never grant.
		{`{"id": "root"}`, nil, restricted("root", map[string]any{"a": manage}), yes, yes},
		{`{"id": "root"}`, nil, restricted("root", map[string]any{"a": []string{"vi", "manage-secrets"}}), yes, yes},
		{`{"id": "root"}`, nil, restricted("root", map[string]any{}), no, no},
		{`{"id": "root"}`, nil, restricted("root", map[string]any{"a": []string{"vi"}}), no, no},
		{`{"id": "root"}`, nil, restricted("root", map[string]any{"d": map[string]any{"data": manage}}), no, no},
		{`{"id": "root"}`, nil, secrets.Actor{"id": "root", "_r": "manage-secrets"}, no, no},
		{`{"id": "root"}`, nil, secrets.Actor{"id": "root", "_r": nil}, no, no},
		{"", nil, restricted("root", map[string]any{"a": manage}), no, yes},
		{"", nil, restricted("root", map[string]any{"a": []string{"vi"}}), no, no},
		{"", nil, restricted("bob", map[string]any{"a": manage}), no, no},
		{"true", nil, restricted("bob", map[string]any{"a": []string{"vi"}}), no, no},
	}
}

func Test11TruthTable(t *testing.T) {
	t.Parallel()
	checkTruths(t, func(actor secrets.Actor) bool { _, restricted := actor["_r"]; return !restricted })
}

func Test12Restrictions(t *testing.T) {
	t.Parallel()
	checkTruths(t, func(actor secrets.Actor) bool { _, restricted := actor["_r"]; return restricted })
}

// checkTruths checks the rows about some actors, on as few hosts as possible.
func checkTruths(t *testing.T, about func(secrets.Actor) bool) {
	groups := map[string][]truth{}
	for _, row := range truths() {
		if about(row.actor) {
			key := strings.Join(append([]string{row.block}, row.more...), " ")
			groups[key] = append(groups[key], row)
		}
	}
	for key, rows := range groups {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			args := rows[0].more
			if rows[0].block != "" {
				args = append([]string{"-s", "permissions.manage-secrets", rows[0].block}, args...)
			}
			plain, rootIsRoot := start(t, args...), start(t, append([]string{"--root"}, args...)...)
			for _, row := range rows {
				wantStatus(t, plain.Get(t, "/-/secrets", row.actor), row.plain)
				wantStatus(t, rootIsRoot.Get(t, "/-/secrets", row.actor), row.rootIsRoot)
				wantStatus(t, rootIsRoot.SetSecret(t, "EXAMPLE_SECRET", "x", "", row.actor), posted(row))
			}
		})
	}
}

// posted is the status of a change, which needs somebody to name.
func posted(row truth) int {
	if row.rootIsRoot == http.StatusOK && row.actor != nil {
		return http.StatusFound
	}
	return http.StatusForbidden
}

// Restrictions of a token are like those of a cookie.
func Test12RestrictedTokens(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	for action, status := range map[string]int{"manage-secrets": http.StatusOK, "view-instance": http.StatusForbidden} {
		made := harness.Run(t, "", "create-token", "root", "--secret", harness.Secret, "-a", action)
		r := host.Do(t, harness.Request{Path: "/-/secrets", Header: bearer(strings.TrimSpace(made.Stdout))})
		wantStatus(t, r, status)
	}
}

func Test11AnonymousMayLookButNotChange(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "permissions.manage-secrets", "true")
	wantStatus(t, host.Get(t, "/-/secrets/EXAMPLE_SECRET", nil), http.StatusOK)
	r := host.SetSecret(t, "EXAMPLE_SECRET", "hunter2", "", nil)
	wantStatus(t, r, http.StatusForbidden)
	wantText(t, r, "ou must be signed in to change a secret")
	wantNoText(t, r, "hunter2")
	if rows := stored(t, file, "EXAMPLE_SECRET"); len(rows) != 0 {
		t.Errorf("stored %v", rows)
	}
}

func Test11ActorWithoutID(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "permissions.manage-secrets.name", "x")
	wantRedirect(t, host.SetSecret(t, "EXAMPLE_SECRET", "hunter2", "", secrets.Actor{"name": "x"}), "/-/secrets")
	if r := stored(t, file, "EXAMPLE_SECRET")[0]; r["created_by"] != nil || r["updated_by"] != nil {
		t.Errorf("stored %v", r)
	}
}

func Test11HomeIsNotAskedForSecrets(t *testing.T) {
	t.Parallel()
	crumb := `<a href="/">home</a>`
	open, shut := start(t, "--root"), start(t, "--root", "-s", "allow.id", "bob")
	wantStatus(t, open.Get(t, "/", nil), http.StatusOK)
	wantText(t, open.Get(t, "/-/secrets", root()), crumb)
	wantStatus(t, shut.Get(t, "/", root()), http.StatusForbidden)
	wantNoText(t, shut.Get(t, "/-/secrets", root()), crumb)

	denying := start(t, "--default-deny", "-s", "permissions.manage-secrets.id", "bob")
	wantStatus(t, denying.Get(t, "/", nil), http.StatusForbidden)
	r := denying.Get(t, "/-/secrets", secrets.Actor{"id": "bob"})
	wantStatus(t, r, http.StatusOK)
	wantNoText(t, r, crumb)
	for _, path := range []string{"/-/plugins.json", "/-/versions.json", "/-/settings.json", "/-/config.json", "/-/databases.json"} {
		wantStatus(t, denying.Get(t, path, nil), http.StatusForbidden)
		wantStatus(t, open.Get(t, path, nil), http.StatusOK)
	}
	wantStatus(t, open.Get(t, "/-/actions.json", nil), http.StatusForbidden)
	wantText(t, open.Get(t, "/-/actions.json", root()), `{"name": "manage-secrets", "abbr": null, "description": "Manage Datasette secrets", `+
		`"takes_parent": false, "takes_child": false, "resource_class": null, "also_requires": null}`)
}

// A malformed block is refused when the host starts, and not at every page.
func Test11MalformedBlocks(t *testing.T) {
	t.Parallel()
	for _, block := range []string{"2", "1.0", `"root"`, "[]", `["root"]`} {
		got := harness.Run(t, "", "-s", "permissions.manage-secrets", block, "--get", "/")
		if got.Code != 1 || !strings.HasPrefix(got.Stderr, "Error: permissions.manage-secrets: ") {
			t.Errorf("%s: exit code %d\n%s", block, got.Code, got.Stderr)
		}
	}
	form := url.Values{"secret": {"x"}}
	yes := start(t, "-c", writeFile(t, "yes.yml", "permissions:\n  manage-secrets:\n    id: yes\n    team: 010\n"))
	for actor, status := range map[string]int{`{"id": true}`: 302, `{"id": "yes"}`: 403, `{"id": 1}`: 302, `{"team": 8}`: 302, `{"team": 10}`: 403} {
		var a secrets.Actor
		if err := json.Unmarshal([]byte(actor), &a); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, yes.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: a, Form: form}), status)
	}
}
