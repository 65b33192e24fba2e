// Package dropin_test runs sdk/datasette as its users do: from the built
// package, in the place of PyPI's datasette-secrets, in real Datasette with
// plugins from PyPI.
package dropin_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// script runs a script of testdata with an interpreter and returns what it
// prints.
func script(t *testing.T, python, name string, env []string, args ...string) string {
	t.Helper()
	r := harness.RunCommand(t, "", harness.Env(env...), python, append([]string{filepath.Join(testdata(t), name)}, args...)...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", name, r.Code, r.Stderr)
	}
	return r.Stdout
}

func testdata(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
