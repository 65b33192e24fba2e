// Package interop_test runs the host beside Python's Datasette with its plugin
// datasette-secrets, the real programs from PyPI. Either must be able to take
// the other's place: read what the other wrote, accept whom the other signed
// in, and share one file while both run.
//
// In names and messages "host" is this repository's program, and "Python" is
// Datasette. Python's get_secret is reached through a plugin of Datasette in
// testdata/datasette-plugins, ours through the probe plugin of the harness.
package interop_test

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	// The tests wait for programs and locks most of their time, so more of
	// them run side by side than there are processors.
	flag.Parse()
	if given := flag.Lookup("test.parallel"); given.Value.String() == given.DefValue {
		given.Value.Set("6")
	}
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

func root() secrets.Actor { return secrets.NewActor("root") }

// undeclared lets a host store secrets that none of its plugins declared.
func undeclared() []string {
	return []string{"-s", "plugins.datasette-secrets.allow-undeclared", "true"}
}

// names are the secrets that the plugins of both programs declare.
func names() []string { return []string{"ALPHA", "BETA", "SHARED", "OF_HOST", "OF_PYTHON"} }

// startProbed starts our host with the plugin that reads secrets.
func startProbed(t *testing.T, file string, args ...string) (*harness.Process, *harness.Probe) {
	t.Helper()
	probe := harness.NewProbe(t, names()...)
	return startHost(t, file, append(probe.Args, args...)...), probe
}

// startHost starts our host on a file of secrets.
func startHost(t *testing.T, file string, args ...string) *harness.Process {
	t.Helper()
	args = append([]string{"--internal", file, "--root"}, args...)
	return harness.Start(t, harness.Options{Args: args})
}

// startPython starts Datasette on a file of secrets, with the plugin that reads
// them. Its limit for a query counts the wait for a lock, and is one second: a busy
// machine may take longer.
func startPython(t *testing.T, file string, args ...string) *harness.Process {
	t.Helper()
	args = append([]string{"--internal", file, "--root", "--plugins-dir", pythonPlugins(t), "--setting", "sql_time_limit_ms", "30000"}, args...)
	return harness.StartDatasette(t, harness.Options{Args: args})
}

func pythonPlugins(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", "datasette-plugins"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newFile is a path for a file of secrets.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "internal.db")
}

// script runs testdata/NAME with Datasette's Python.
func script(t *testing.T, name string, out any, args ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	harness.PythonScript(t, string(text), out, args...)
}

// query returns what Python's sqlite3 reads from a file.
func query(t *testing.T, file, statement string) (rows []map[string]any) {
	t.Helper()
	script(t, "query.py", &rows, file, statement)
	return rows
}

// execute runs statements with Python's sqlite3.
func execute(t *testing.T, file, statements string) {
	t.Helper()
	var none any
	script(t, "execute.py", &none, file, statements)
}

func journalMode(t *testing.T, file string) string {
	t.Helper()
	mode, _ := query(t, file, "pragma journal_mode")[0]["journal_mode"].(string)
	return mode
}

// readPython is get_secret inside Datasette, for an actor.
func readPython(t *testing.T, p *harness.Process, name, actor string) any {
	t.Helper()
	path := "/-/read/" + name
	if actor != "" {
		path += "?actor=" + url.QueryEscape(actor)
	}
	var answer struct {
		Value any
		Error string
	}
	decode(t, p.Get(t, path, nil).Text, &answer)
	if answer.Error != "" {
		t.Errorf("Python's get_secret(%s): %s", name, answer.Error)
	}
	return answer.Value
}

// readError is the exception of get_secret inside Datasette, if it raises one.
func readError(t *testing.T, p *harness.Process, name string) string {
	t.Helper()
	var answer struct{ Error string }
	decode(t, p.Get(t, "/-/read/"+name, nil).Text, &answer)
	return answer.Error
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func show(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// jsonFile writes v for a script: an argument may not be that long.
func jsonFile(t *testing.T, v any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "question.json")
	write(t, path, show(t, v))
	return path
}

// set stores a value through a program's page and expects success.
func set(t *testing.T, p *harness.Process, name, value, note string) {
	t.Helper()
	answer := p.SetSecret(t, name, value, note, root())
	if answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != "/-/secrets" {
		t.Fatalf("setting %s: %s to %q\n%s\n%s", name, answer.Status, answer.Header.Get("Location"), answer.Text, p.Stderr)
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

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// hold has a Python process take a lock on a file. The function that it
// returns ends the lock.
func hold(t *testing.T, file, how string) (release func()) {
	t.Helper()
	path := filepath.Join("testdata", "lock.py")
	cmd := exec.Command(harness.Python(t), path, file, how)
	cmd.Env = harness.Env()
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("locked\n"))
	if _, err := io.ReadFull(stdout, line); err != nil {
		t.Fatalf("the process that should lock %s: %v", file, err)
	}
	release = sync.OnceFunc(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that locked %s: %v", file, err)
		}
	})
	t.Cleanup(release)
	return release
}
