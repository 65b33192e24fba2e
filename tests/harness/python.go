package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Python is the interpreter that has Datasette and datasette-secrets.
func Python(t testing.TB) string {
	t.Helper()
	path := filepath.Join(Root(), ".venv", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Python's Datasette is not installed; run: make test-setup")
	}
	return path
}

// StartDatasette starts Python's Datasette with datasette-secrets on a free
// port. It waits for a busy machine where it would give up a query after a second.
func StartDatasette(t testing.TB, o Options) *Process {
	t.Helper()
	return StartDatasetteOf(t, Python(t), o)
}

// PythonScript runs a script with Datasette's Python and decodes the JSON that
// it prints into out. The arguments are in sys.argv.
func PythonScript(t testing.TB, script string, out any, args ...string) {
	t.Helper()
	r := RunCommand(t, "", Env(), Python(t), append([]string{"-c", script}, args...)...)
	if r.Code != 0 {
		t.Fatalf("the Python script failed:\n%s", r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), out); err != nil {
		t.Fatalf("the Python script printed %q: %v", r.Stdout, err)
	}
}
