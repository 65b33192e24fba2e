package dropin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func root() secrets.Actor { return secrets.NewActor("root") }

// world is a host, and how Datasette reaches it.
type world struct {
	*harness.Process // the host
	file             string
	token            string // path of the file with the client token
	socket           string // for applications
	args             []string
}

// newWorld starts a host that knows the client "datasette", to which secrets
// are granted.
func newWorld(t *testing.T, granted ...string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{file: filepath.Join(dir, "internal.db"), token: filepath.Join(dir, "token"), socket: filepath.Join(dir, "api.sock")}
	w.args = []string{"-p", freePort(t), "--internal", w.file, "--root", "--api-uds", w.socket}
	w.Process = harness.Start(t, harness.Options{Args: w.args})
	args := []string{}
	for _, name := range granted {
		args = append(args, "--secret", name)
	}
	harness.WriteFile(t, w.token, w.client(t, append([]string{"add", "datasette"}, args...)...), 0o600)
	return w
}

// client runs a command about clients and returns what it prints.
func (w *world) client(t *testing.T, args ...string) string {
	t.Helper()
	r := harness.Run(t, "", append(append([]string{"client"}, args...), "--internal", w.file)...)
	if r.Code != 0 {
		t.Fatalf("client %v: exit code %d\n%s", args, r.Code, r.Stderr)
	}
	return r.Stdout
}

// again starts the host anew, at the same address.
func (w *world) again(t *testing.T, args ...string) {
	t.Helper()
	w.Process = harness.Start(t, harness.Options{Args: slices.Concat(w.args, args)})
}

// datasette starts Datasette with the drop-in, asking the host at an address:
// its URL or socket. Of the plugins of PyPI it has none, which take a while.
func (w *world) datasette(t *testing.T, host string, args ...string) *harness.Process {
	t.Helper()
	return w.datasetteWith(t, host, onlyOurs(), args...)
}

func onlyOurs() []string { return []string{"DATASETTE_LOAD_PLUGINS=datasette-secrets"} }

func (w *world) datasetteWith(t *testing.T, host string, env []string, args ...string) *harness.Process {
	t.Helper()
	return harness.StartDropin(t, harness.Options{NoKey: true, Env: env, Args: append([]string{
		"-s", "plugins.datasette-secrets.host", host,
		"-s", "plugins.datasette-secrets.token.$file", w.token,
		"-s", "plugins.datasette-secrets.timeout", "30s",
		"--root", "--plugins-dir", filepath.Join(testdata(t), "plugins"),
	}, args...)})
}

// set stores a value on the host's page.
func (w *world) set(t *testing.T, name, value string) {
	t.Helper()
	if r := w.SetSecret(t, name, value, "", root()); r.StatusCode != http.StatusFound {
		t.Fatalf("setting %s: %s\n%s", name, r.Status, r.Text)
	}
}

// log is what the host's log has, an entry in a line: act, secret, client, actor
// and whether it was allowed.
func (w *world) log(t *testing.T) []string {
	t.Helper()
	var entries []string
	harness.PythonScript(t, `
import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute("select action, name, client, actor_id, allowed from datasette_secrets_log order by id")
print(json.dumps([" ".join(map(str, (*row[:-1], "true" if row[-1] else "false"))) for row in rows]))
`, &entries, w.file)
	return entries
}

// outcome is what get_secret did inside Datasette.
type outcome struct {
	Value *string
	Error string // the class
	Text  string
	Typed bool // one of the drop-in's errors
}

func (o outcome) String() string {
	switch {
	case o.Error != "":
		return o.Error
	case o.Value == nil:
		return "None"
	}
	return "=" + *o.Value
}

// read is get_secret inside Datasette, for an actor if one is given.
func read(t *testing.T, datasette *harness.Process, name string, actor ...string) outcome {
	t.Helper()
	path := "/-/read/" + url.PathEscape(name)
	if len(actor) > 0 {
		path += "?actor=" + url.QueryEscape(actor[0])
	}
	var o outcome
	decode(t, datasette.Get(t, path, nil).Text, &o)
	return o
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// want reports an error unless get_secret does what text says: "=value",
// "None", or the class of an error.
func want(t *testing.T, what string, got outcome, text string) {
	t.Helper()
	if got.String() != text {
		t.Errorf("%s: %v (%s), want %s", what, got, got.Text, text)
	}
}

// shows reports an error unless a page contains all the texts.
func shows(t *testing.T, p *harness.Process, path string, texts ...string) {
	t.Helper()
	page := p.Get(t, path, root())
	if page.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", path, page.Status)
	}
	for _, text := range texts {
		if !strings.Contains(page.Text, text) {
			t.Errorf("%s does not show %q:\n%s", path, text, page.Text)
		}
	}
}
