package conformance_test

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// wantValue checks what a plugin gets, on behalf of root.
func wantValue(t *testing.T, probe *harness.Probe, name, want string) {
	t.Helper()
	if got, err := probe.Get(t, name, "root"); got != want || err != nil {
		t.Errorf("%s gets %s: %q, %v, want %q", probe.Name, name, got, err, want)
	}
}

func wantError(t *testing.T, probe *harness.Probe, name string, want error) {
	t.Helper()
	if got, err := probe.Get(t, name, "root"); !errors.Is(err, want) || got != "" {
		t.Errorf("%s gets %s: %q, %v, want %v", probe.Name, name, got, err, want)
	}
}

// wantDenied checks that a plugin gets nothing that it did not declare, and
// that it knows so.
func wantDenied(t *testing.T, probe *harness.Probe, name string) {
	t.Helper()
	wantError(t, probe, name, pluginapi.ErrDenied)
	if can, err := probe.Can(t, name, "root"); can || err != nil {
		t.Errorf("%s may get %s: %t, %v", probe.Name, name, can, err)
	}
}

// lastUse is when and by whom the newest version of a secret was used.
func lastUse(t *testing.T, file, name string) (at, by any) {
	t.Helper()
	rows := stored(t, file, name)
	newest := rows[len(rows)-1]
	return newest["last_used_at"], newest["last_used_by"]
}

func Test33Environment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	probe := harness.NewProbe(t, "FROM_ENV", "EMPTY", "UNSET")
	first := start(t, append(probe.Args, "--root", "--internal", file)...)
	for _, name := range []string{"FROM_ENV", "EMPTY"} {
		first.SetSecret(t, name, "from database", "", root())
	}
	first.Stop(t)

	host := harness.Start(t, harness.Options{
		Args: append(probe.Args, "--root", "--internal", file),
		Env:  []string{"DATASETTE_SECRETS_FROM_ENV=  from environment\n", "DATASETTE_SECRETS_EMPTY=", "DATASETTE_SECRETS_UNDECLARED=x"},
	})
	list := host.Get(t, "/-/secrets", root())
	wantText(t, list, "<p>The following secret is set using environment variables:</p>",
		`<strong><a href="/-/secrets/FROM_ENV">FROM_ENV</a></strong>`, "Set by <code>DATASETTE_SECRETS_FROM_ENV</code>",
		"<p>The following secret has not been set:</p>")
	wantNoText(t, list, "from environment", "UNDECLARED")
	table := between(list.Text, "<tbody>", "</tbody>")
	if !strings.Contains(table, "EMPTY") || strings.Contains(table, "FROM_ENV") {
		t.Errorf("the table of stored secrets is\n%s", table)
	}
	wantValue(t, probe, "FROM_ENV", "  from environment\n")
	wantValue(t, probe, "EMPTY", "from database")
	wantDenied(t, probe, "UNDECLARED")
	wantError(t, probe, "UNSET", pluginapi.ErrNotSet)
	if at, by := lastUse(t, file, "FROM_ENV"); at != nil || by != nil {
		t.Errorf("the row in the database was used at %v by %v", at, by)
	}
	want := []pluginapi.SecretStatus{{Name: "FROM_ENV", Set: true, Source: "env"}, {Name: "EMPTY", Set: true, Source: "database"}, {Name: "UNSET"}}
	if got := probe.List(t); !reflect.DeepEqual(got, want) {
		t.Errorf("the plugin lists %v, want %v", got, want)
	}
	page := host.Get(t, "/-/secrets/FROM_ENV", root())
	wantText(t, page, "<code>DATASETTE_SECRETS_FROM_ENV</code>", "<h1>Update secret: FROM_ENV</h1>")
	wantNoText(t, page, "from environment", "from database")
}

func Test33SeveralFromEnvironment(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "ONE", "TWO")
	host := harness.Start(t, harness.Options{
		Args: append(probe.Args, "--root"),
		Env:  []string{"DATASETTE_SECRETS_ONE=1", "DATASETTE_SECRETS_TWO=2"},
	})
	list := host.Get(t, "/-/secrets", root())
	wantText(t, list, "<p>The following secrets are set using environment variables:</p>")
	wantNoText(t, list, "not been set", "<table")
}

func Test34Unconfigured(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "KEY", "FROM_ENV")
	host := harness.Start(t, harness.Options{
		Args:  append(probe.Args, "--root"),
		Env:   []string{"DATASETTE_SECRETS_FROM_ENV=from environment"},
		NoKey: true,
	})
	list := host.Get(t, "/-/secrets", root())
	wantStatus(t, list, http.StatusOK)
	wantText(t, list, "datasette-secrets has not been configured", "datasette-secrets generate-encryption-key", "Set by <code>DATASETTE_SECRETS_FROM_ENV</code>")
	wantNoText(t, list, menuLink)
	for _, r := range []harness.Response{
		host.Get(t, "/-/secrets/KEY", root()),
		host.Get(t, "/-/secrets/UNDECLARED", root()),
		host.SetSecret(t, "KEY", "hunter2", "", root()),
	} {
		wantStatus(t, r, http.StatusBadRequest)
		if r.Text != "datasette-secrets has not been configured" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s %s of type %s", r.Request.URL, r.Text, r.Header.Get("Content-Type"))
		}
	}
	wantStatus(t, host.Get(t, "/-/secrets/KEY", nil), http.StatusForbidden) // before anything is told
	wantValue(t, probe, "FROM_ENV", "from environment")
	wantError(t, probe, "KEY", pluginapi.ErrNotConfigured)
}

func Test35LastUse(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "KEY", "OTHER")
	host, file := startWithFile(t, probe.Args...)
	wantError(t, probe, "KEY", pluginapi.ErrNotSet)
	host.SetSecret(t, "KEY", "hunter2", "", root())
	host.SetSecret(t, "OTHER", "x", "", root())

	probe.List(t)
	if can, err := probe.Can(t, "KEY", "root"); !can || err != nil {
		t.Errorf("the plugin may use what it declared: %t, %v", can, err)
	}
	if at, by := lastUse(t, file, "KEY"); at != nil || by != nil {
		t.Errorf("asking about a secret counts as a use at %v by %v", at, by)
	}
	before := time.Now().UTC().Truncate(time.Second)
	for _, test := range []struct {
		actor string
		by    any
	}{{"alice", "alice"}, {"", nil}, {"zoë ☃", "zoë ☃"}} {
		if got, err := probe.Get(t, "KEY", test.actor); got != "hunter2" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		at, by := lastUse(t, file, "KEY")
		text, _ := at.(string)
		if used, err := time.Parse(time.DateTime, text); err != nil || used.Before(before) || time.Since(used) > time.Minute {
			t.Errorf("used at %v", at)
		}
		if by != test.by {
			t.Errorf("used by %v, want %v", by, test.by)
		}
	}
	if at, _ := lastUse(t, file, "OTHER"); at != nil {
		t.Errorf("another secret was used at %v", at)
	}
	if got := cells(t, host.Get(t, "/-/secrets", root()), "KEY")["Last used"]; !strings.Contains(got, "zoë ☃") {
		t.Errorf("the list says: last used %q", got)
	}
	// A new version has not been used.
	host.SetSecret(t, "KEY", "new", "", root())
	if at, _ := lastUse(t, file, "KEY"); at != nil {
		t.Errorf("a new version was used at %v", at)
	}
	wantValue(t, probe, "KEY", "new")
}

func Test35WrongKey(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "KEY")
	host, file := startWithFile(t, probe.Args...)
	host.SetSecret(t, "KEY", "hunter2", "", root())
	host.Stop(t)
	other := strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)
	changed := start(t, append(probe.Args, "--root", "--internal", file, "-s", "plugins.datasette-secrets.encryption-key", other)...)
	wantError(t, probe, "KEY", pluginapi.ErrIntegrity)
	if at, _ := lastUse(t, file, "KEY"); at != nil {
		t.Errorf("what could not be read was used at %v", at)
	}
	wantStatus(t, changed.Get(t, "/-/secrets", root()), http.StatusOK)
	wantStatus(t, changed.Get(t, "/-/secrets/KEY", root()), http.StatusOK)
	changed.SetSecret(t, "KEY", "again", "", root())
	wantValue(t, probe, "KEY", "again")
	// Both keys together read everything.
	changed.Stop(t)
	both := start(t, append(probe.Args, "--root", "--internal", file, "-s", "plugins.datasette-secrets.encryption-key", `["`+other+`", "`+harness.Key+`"]`)...)
	wantValue(t, probe, "KEY", "again")
	wantRedirect(t, both.Do(t, harness.Request{Method: http.MethodPost, Path: "/-/secrets/KEY/-/restore", Form: url.Values{"version": {"1"}}, Actor: root()}), "/-/secrets/KEY")
	wantValue(t, probe, "KEY", "hunter2")
}

// A deleted secret is not set, and Python reads the empty text.
func Test35Deleted(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "KEY")
	host, file := startWithFile(t, probe.Args...)
	host.SetSecret(t, "KEY", "hunter2", "", root())
	wantRedirect(t, host.Do(t, harness.Request{Method: http.MethodPost, Path: "/-/secrets/KEY/-/delete", Actor: root()}), "/-/secrets")
	wantError(t, probe, "KEY", pluginapi.ErrNotSet)
	rows := stored(t, file, "KEY")
	if len(rows) != 2 || rows[1]["deleted_by"] != "root" || rows[1]["deleted_at"] == nil || clearText(t, rows[1]) != "" {
		t.Errorf("stored %v", rows)
	}
	wantText(t, host.Get(t, "/-/secrets", root()), "<p>The following secret has not been set:</p>")
	wantText(t, host.Get(t, "/-/secrets/KEY", root()), "<h1>Add secret: KEY</h1>")
	host.SetSecret(t, "KEY", "back", "", root())
	wantValue(t, probe, "KEY", "back")
}

func Test36Declarations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.AddRefusingProbe(t, dir, "a-refuses")
	c := harness.AddProbe(t, dir, "c", pluginapi.Secret{Name: "SHARED", Description: "As c says"}, pluginapi.Secret{Name: "ONLY_C"})
	b := harness.AddProbe(t, dir, "b", pluginapi.Secret{Name: "SHARED", Description: "As b says"},
		pluginapi.Secret{Name: "TWICE", Description: "First"}, pluginapi.Secret{Name: "TWICE", Description: "Second"})
	host, file := startWithFile(t, append(b.Args, c.Args...)...)
	// Whoever came second to SHARED has to be approved.
	for _, plugin := range []string{"b", "c"} {
		if r := harness.Run(t, "", "plugin", "approve", plugin, "--secret", "SHARED", "--internal", file); r.Code != 0 {
			t.Fatalf("approving %s: %s", plugin, r.Stderr)
		}
	}

	list := host.Get(t, "/-/secrets", root())
	wantStatus(t, list, http.StatusOK)
	wantText(t, list, "TWICE</a></strong> - First", `href="/-/secrets/ONLY_C"`)
	wantNoText(t, list, "Second", "EXAMPLE_SECRET")
	if strings.Count(list.Text, "SHARED</a></strong> - As ") != 1 { // as the first of them says
		t.Errorf("the list does not tell once what SHARED is:\n%s", list.Text)
	}
	if n := strings.Count(list.Text, "<li><strong>"); n != 3 {
		t.Errorf("the list has %d secrets:\n%s", n, list.Text)
	}
	host.SetSecret(t, "SHARED", "hunter2", "", root())
	host.SetSecret(t, "ONLY_C", "x", "", root())
	wantValue(t, b, "SHARED", "hunter2")
	wantValue(t, c, "SHARED", "hunter2")
	wantValue(t, c, "ONLY_C", "x")
	wantDenied(t, b, "ONLY_C") // only who declared it

	plugins := host.Get(t, "/-/plugins", root())
	wantStatus(t, plugins, http.StatusOK)
	wantText(t, plugins, "a-refuses", "RegisterSecrets failed")
	wantText(t, host.Get(t, "/-/secrets/SHARED", root()), `>b</a>, <a href="/-/plugins">c</a>`)
}
