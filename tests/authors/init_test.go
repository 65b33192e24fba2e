package authors

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A new project builds and passes its own test and the kit, in each language,
// with the SDKs of this repository and without a network. In a short run the
// kit does what the examples, written like it, are not enough for.
func TestNewProjects(t *testing.T) {
	t.Parallel()
	for language, program := range map[string]string{
		"go":     "bin/datasette-secrets-plugin-weather",
		"python": ".venv/bin/datasette-secrets-plugin-weather",
		"node":   "datasette-secrets-plugin-weather",
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			dir := newProject(t, language)
			var only []string
			if !harness.Soak() {
				only = []string{"--only", "watch", "--only", "secrecy"}
			}
			r := pluginTest(t, filepath.Join(dir, program), only...)
			if r.Failed > 0 || r.outcome("watch") != "pass" || r.outcome("secrecy") != "pass" {
				t.Error(r.rest)
			}
		})
	}
}

// newProject begins a project and builds it.
func newProject(t *testing.T, language string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "weather")
	begun := harness.Run(t, filepath.Dir(dir), "plugin", "init", "weather", "--lang", language, "--sdk", harness.Root())
	if begun.Code != 0 {
		t.Fatal(begun.Stderr)
	}
	if built := harness.RunCommand(t, dir, buildEnv(t), "./build"); built.Code != 0 {
		t.Fatalf("exit code %d\n%s%s", built.Code, built.Stdout, built.Stderr)
	}
	return dir
}

// buildEnv is an environment in which what a build needs is there already:
// what "make test" brought.
func buildEnv(t *testing.T) []string {
	t.Helper()
	python := filepath.Dir(harness.Python(t))
	return append(os.Environ(),
		"PATH="+python+":"+os.Getenv("PATH"),
		"GOPROXY=off",
		"PIP_NO_INDEX=1", "PIP_FIND_LINKS="+filepath.Join(harness.Root(), ".venv", "wheels"),
		"npm_config_prefer_offline=true")
}
