package interop_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// world is a configuration to ask both programs under.
type world struct {
	Config      map[string]any `json:"config"`
	Root        bool           `json:"root"`
	DefaultDeny bool           `json:"default_deny"`
}

// questions is what testdata/permissions.py answers.
type questions struct {
	Secret   string              `json:"secret"`
	Worlds   []world             `json:"worlds"`
	Visitors []map[string]string `json:"visitors"` // headers
	Paths    []string            `json:"paths"`
}

// Who may see what is the same in both programs, for every kind of permission
// block, with and without --root, for every kind of actor, restricted or not,
// by cookie and by token.
func TestPermissionsAgree(t *testing.T) {
	t.Parallel()
	q := questions{
		Secret: harness.Secret, Worlds: worlds(t), Visitors: visitors(t),
		Paths: []string{"/-/secrets", "/-/plugins.json"},
	}
	var ofPython [][][]int
	script(t, "permissions.py", &ofPython, jsonFile(t, q))
	failures := 0
	for i, w := range q.Worlds {
		handler := open(t, w)
		for j, headers := range q.Visitors {
			for k, path := range q.Paths {
				want := ofPython[i][j][k]
				if want == http.StatusInternalServerError {
					failures++ // an error of Python is no model
					continue
				}
				if got := status(handler, path, headers); got != want {
					t.Errorf("%s for %v under %s: the host answers %d, Python %d", path, headers, show(t, w), got, want)
				}
			}
		}
	}
	asked := len(q.Worlds) * len(q.Visitors) * len(q.Paths)
	t.Logf("%d questions, of which Python failed at %d", asked, failures)
	if failures*10 > asked {
		t.Errorf("Python failed at %d of %d questions: too few are left", failures, asked)
	}
}

func worlds(t *testing.T) (all []world) {
	t.Helper()
	blocks := []string{
		`{}`,
		`{"permissions": {"manage-secrets": null}}`,
		`{"permissions": {"manage-secrets": true}}`,
		`{"permissions": {"manage-secrets": false}}`,
		`{"permissions": {"manage-secrets": 1}}`,
		`{"permissions": {"manage-secrets": 0}}`,
		`{"permissions": {"manage-secrets": {}}}`,
		`{"permissions": {"manage-secrets": {"id": "root"}}}`,
		`{"permissions": {"manage-secrets": {"id": "admin"}}}`,
		`{"permissions": {"manage-secrets": {"id": ["root", "admin"]}}}`,
		`{"permissions": {"manage-secrets": {"id": "*"}}}`,
		`{"permissions": {"manage-secrets": {"id": 1}}}`,
		`{"permissions": {"manage-secrets": {"id": "1", "name": "x"}}}`,
		`{"permissions": {"manage-secrets": {"unauthenticated": true}}}`,
		`{"permissions": {"manage-secrets": {"unauthenticated": true, "roles": ["dev"]}}}`,
		`{"permissions": {"manage-secrets": {"id": "root"}}, "allow": {"id": "bob"}}`,
		`{"permissions": {"manage-secrets": {"id": "root"}, "view-instance": {"id": "admin"}}}`,
		`{"permissions": {"view-instance": false}, "allow": true}`,
		`{"allow": false}`,
		`{"allow": {"unauthenticated": true}}`,
		`{"databases": {"data": {"permissions": {"manage-secrets": true}}}}`,
	}
	for i, block := range blocks {
		all = append(all, newWorld(t, block, true, i%4 == 0))
		if i < 8 { // each kind of rule
			all = append(all, newWorld(t, block, false, i%4 == 2))
		}
	}
	return all
}

func newWorld(t *testing.T, block string, root, deny bool) world {
	t.Helper()
	w := world{Root: root, DefaultDeny: deny}
	decode(t, block, &w.Config)
	w.Config["plugins"] = map[string]any{"datasette-secrets": map[string]any{"encryption-key": harness.Key}}
	return w
}

// visitors are the headers of every actor: a cookie and, for some that a token
// can name, a token.
func visitors(t *testing.T) (all []map[string]string) {
	t.Helper()
	actors := []string{
		`{"id": "root"}`, `{"id": "admin"}`, `{"id": "bob", "roles": ["staff", "dev"]}`,
		`{"name": "x"}`, `{"id": "1"}`, `{"id": 1}`, `{"id": null}`, `{"id": ["root"]}`, `{"unauthenticated": true}`, `{}`,
		`{"id": "root", "_r": {}}`,
		`{"id": "root", "_r": {"a": []}}`,
		`{"id": "root", "_r": {"a": ["manage-secrets"]}}`,
		`{"id": "root", "_r": {"a": ["vi"]}}`,
		`{"id": "root", "_r": {"a": ["view-instance", "manage-secrets"]}}`,
		`{"id": "root", "_r": {"a": ["manage-secret", "MANAGE-SECRETS", "ms", ""]}}`,
		`{"id": "root", "_r": {"d": {"data": ["manage-secrets", "vi"]}}}`,
		`{"id": "root", "_r": {"r": {"data": {"t": ["manage-secrets"]}}}}`,
		`{"id": "bob", "_r": {"a": ["manage-secrets", "view-instance"]}}`,
		`{"id": "admin", "_r": {"a": ["manage-secrets"], "d": {"data": ["vd"]}}}`,
	}
	signer := signing.New(harness.Secret)
	all = append(all, map[string]string{})
	for i, text := range actors {
		var actor map[string]any
		decode(t, text, &actor)
		cookie, err := signer.Sign("actor", map[string]any{"a": actor})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, map[string]string{"Cookie": "ds_actor=" + cookie})
		restrictions, restricted := actor["_r"].(map[string]any)
		if !restricted || i%3 == 0 {
			continue
		}
		token, err := signer.SignToken(signing.Token{Actor: actor["id"], Created: time.Now().Unix(), Restrictions: restrictions})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, map[string]string{"Authorization": "Bearer " + token})
	}
	return all
}

// open is the host under a configuration, as the command puts it together.
func open(t *testing.T, w world) http.Handler {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{
		ConfigFile: "-", Stdin: strings.NewReader(show(t, w.Config)),
		Secret: harness.Secret, Root: w.Root, DefaultDeny: w.DefaultDeny,
		Internal: newFile(t),
	})
	if err != nil {
		t.Fatalf("%s: %v", show(t, w), err)
	}
	t.Cleanup(func() { h.Close(t.Context()) })
	return h.Handler()
}

func status(handler http.Handler, path string, headers map[string]string) int {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer.Code
}

// An allow block matches here whom it matches in Datasette, wherever that does
// not fail with an exception.
func TestAllowBlocksAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	cases := make([][2]any, 6000)
	for i := range cases {
		cases[i] = [2]any{randomActor(random), randomAllow(random)}
	}
	var answers []any
	script(t, "allow.py", &answers, jsonFile(t, cases))
	count := map[string]int{}
	for i, c := range cases {
		count[fmt.Sprint(answers[i])]++
		actor, _ := c[0].(map[string]any)
		got := access.Matches(secrets.Actor(actor), c[1])
		if want, ok := answers[i].(bool); ok && got != want {
			t.Errorf("actor %s, allow %s: %v, Python says %v", show(t, c[0]), show(t, c[1]), got, want)
		}
	}
	t.Logf("answers of Python: %v", count)
	if count["true"] < 500 || count["false"] < 500 {
		t.Errorf("the cases are one-sided: %v", count)
	}
}

func randomActor(random *rand.Rand) any {
	if random.IntN(10) == 0 {
		return nil
	}
	return randomBlock(random)
}

func randomAllow(random *rand.Rand) any {
	switch random.IntN(20) {
	case 0:
		return random.IntN(2) == 0
	case 1:
		return nil
	case 2:
		return randomScalar(random)
	}
	return randomBlock(random)
}

// randomBlock makes an actor or an allow block: both hold much the same.
func randomBlock(random *rand.Rand) map[string]any {
	block := map[string]any{}
	for range random.IntN(4) {
		key := pick(random, "id", "roles", "name", "unauthenticated")
		switch random.IntN(10) {
		case 0, 1, 2:
			list := []any{}
			for range random.IntN(4) {
				list = append(list, randomScalar(random))
			}
			block[key] = list
		case 3:
			if random.IntN(4) == 0 {
				block[key] = map[string]any{"a": randomScalar(random)}
			}
		default:
			block[key] = randomScalar(random)
		}
	}
	return block
}

func randomScalar(random *rand.Rand) any {
	return pick(random, []any{
		"root", "root", "bob", "*", "*", "", "1", "true", "é", nil, true, true, false,
		json.Number("0"), json.Number("1"), json.Number("1.0"), json.Number("2"), json.Number("-0.0"), json.Number("1e0"),
		json.Number("9007199254740993"), json.Number("9007199254740992.0"), json.Number("123456789012345678901234567890"),
	}...)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }
