package dropin_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// Without a host, the drop-in does what PyPI's datasette-secrets does: the same
// script finds the same with both.
func TestLocalIsUpstream(t *testing.T) {
	t.Parallel()
	var theirs, ours map[string]any
	for python, into := range map[string]*map[string]any{harness.Python(t): &theirs, harness.Dropin(t): &ours} {
		if err := json.Unmarshal([]byte(script(t, python, "local.py", onlyOurs())), into); err != nil {
			t.Fatal(err)
		}
	}
	if len(theirs) < 90 || len(ours) != len(theirs) {
		t.Errorf("%d findings with PyPI's, %d with ours", len(theirs), len(ours))
	}
	for what, want := range theirs {
		if got := ours[what]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%v with PyPI's\n%v with ours", what, want, got)
		}
	}
}

// It is installed as pip installs every package, and takes PyPI's place for
// those that depend on that.
func TestInstalledInItsPlace(t *testing.T) {
	t.Parallel()
	got := script(t, harness.Dropin(t), "installed.py", nil)
	for _, want := range []string{"version 1.0a0", "datasette-enrichments satisfied", "datasette-llm satisfied", "datasette-extract satisfied"} {
		if !strings.Contains(got, want) {
			t.Errorf("the environment lacks %q:\n%s", want, got)
		}
	}
	if lines := strings.Split(strings.TrimSpace(got), "\n"); lines[len(lines)-1] != "imported without Datasette" {
		t.Errorf("the client imports Datasette:\n%s", got)
	}
}

// Making a key is Datasette's command.
func TestLocalCommand(t *testing.T) {
	t.Parallel()
	python := harness.Dropin(t)
	r := harness.RunCommand(t, "", harness.Env(onlyOurs()...), python, "-m", "datasette", "secrets", "generate-encryption-key")
	if r.Code != 0 || len(r.Stdout) != 45 || !strings.HasSuffix(r.Stdout, "=\n") {
		t.Errorf("exit code %d, %q\n%s", r.Code, r.Stdout, r.Stderr)
	}
	r = harness.RunCommand(t, "", harness.Env(onlyOurs()...), python, "-m", "datasette", "secrets", "generate-encryption-key", "extra")
	if r.Code != 2 || !strings.Contains(r.Stderr, "Got unexpected extra argument (extra)") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
	}
}

// The package's own tests, and what its types say.
func TestUnits(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(harness.Root(), "sdk", "datasette")
	env := harness.Env("PYTHONPYCACHEPREFIX=" + t.TempDir())
	got := harness.RunCommand(t, folder, env, harness.Dropin(t), "-m", "pytest", "-q", "-p", "no:cacheprovider")
	if got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	got = harness.RunCommand(t, folder, env, harness.Python(t), "-m", "mypy", "--cache-dir", t.TempDir(), "--python-executable", harness.Dropin(t))
	if got.Code != 0 {
		t.Errorf("mypy: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
