package interop_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// studioConfig is what the template of datasette/studio configures, in its own
// form.
const studioConfig = `
databases:
  secrets:
    allow: false
plugins:
  datasette-secrets:
    database: secrets
    encryption-key:
      $file: .datasette-secrets-key
permissions:
  manage-secrets:
    id: root
`

// The folder and the command line of Datasette Studio work unchanged in both
// programs, in either order, with a key made by either.
func TestStudio(t *testing.T) {
	t.Parallel()
	python := func(t *testing.T, dir string, args ...string) harness.Result {
		return harness.RunCommand(t, dir, harness.Env(), harness.Python(t), append([]string{"-m", "datasette", "secrets"}, args...)...)
	}
	host := func(t *testing.T, dir string, args ...string) harness.Result {
		return harness.Run(t, dir, append([]string{"secrets"}, args...)...)
	}
	for name, run := range map[string]func(*testing.T, string, ...string) harness.Result{"host": host, "Python": python} {
		t.Run("key and databases made by "+name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			key := run(t, dir, "generate-encryption-key")
			if key.Code != 0 || len(key.Stdout) != 45 {
				t.Fatalf("generate-encryption-key: exit code %d, %d bytes, %s", key.Code, len(key.Stdout), key.Stderr)
			}
			write(t, filepath.Join(dir, ".datasette-secrets-key"), key.Stdout) // its newline too
			write(t, filepath.Join(dir, "datasette.yml"), studioConfig)
			if name == "Python" {
				studioOfPython(t, dir, "", "one")
			}
			studioOfHost(t, dir, map[string]string{"host": "", "Python": "one"}[name], "two")
			studioOfPython(t, dir, "two", "three")
			studioOfHost(t, dir, "three", "four")
		})
	}
}

func studioArgs(more ...string) []string {
	return append([]string{"data.db", "secrets.db", "--create", "-c", "datasette.yml"}, more...)
}

func studioOfHost(t *testing.T, dir, before, after string) {
	t.Helper()
	probe := harness.NewProbe(t, names()...)
	p := harness.Start(t, harness.Options{Dir: dir, NoKey: true, Args: studioArgs(probe.Args...)})
	if got, _ := probe.Get(t, "ALPHA", "reader"); got != before {
		t.Errorf("the host reads %q, want %q", got, before)
	}
	useStudio(t, p, after)
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.Stderr)
	}
}

func studioOfPython(t *testing.T, dir, before, after string) {
	t.Helper()
	p := harness.StartDatasette(t, harness.Options{Dir: dir, NoKey: true, Args: studioArgs("--plugins-dir", pythonPlugins(t))})
	if got, _ := readPython(t, p, "ALPHA", "reader").(string); got != before {
		t.Errorf("Python reads %q, want %q", got, before)
	}
	useStudio(t, p, after)
	p.Stop(t)
}

// useStudio sets a secret as root, who needs no --root here, and finds that
// nobody else sees anything.
func useStudio(t *testing.T, p *harness.Process, value string) {
	t.Helper()
	set(t, p, "ALPHA", value, "")
	for _, path := range []string{"/-/secrets", "/-/secrets/ALPHA", "/secrets", "/secrets/datasette_secrets.json"} {
		if status := p.Get(t, path, nil).StatusCode; status != http.StatusForbidden && status != http.StatusNotFound {
			t.Errorf("anonymous visit to %s: status %d", path, status)
		}
	}
}
