package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// TestScripts runs the command line as people type it: every file of
// testdata/script is a session with the real program.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(harness.Binary(t))
	demo := harness.PluginDir(t, "demo", "plugins/demo")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("KEY", harness.Key)
			env.Setenv("DEMO_PLUGINS", demo)
			return nil
		},
	})
}
