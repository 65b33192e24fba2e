package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// decided is everything that a file says about plugins.
func decided(t *testing.T, file string) string {
	t.Helper()
	var all []string
	for _, statement := range []string{
		"select name, hash, declarations, hooks, first_seen_at, disabled_at, disabled_by from datasette_secrets_plugins order by name",
		"select * from datasette_secrets_plugin_requests order by id",
		"select * from datasette_secrets_plugin_decisions order by id",
		"pragma integrity_check",
	} {
		all = append(all, fmt.Sprint(query(t, file, statement)))
	}
	return strings.Join(all, "\n")
}

// operate runs a command on a file, which must succeed.
func operate(t *testing.T, file string, args ...string) string {
	t.Helper()
	got := harness.Run(t, "", append(args, "--internal", file)...)
	if got.Code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, got.Code, got.Stderr)
	}
	return got.Stdout
}

// Python's Datasette works beside what our host records of plugins, and leaves
// it as it is; what an administrator decides about our plugins is nothing to
// Python's.
func TestPythonLeavesDecisionsAlone(t *testing.T) {
	t.Parallel()
	for _, maker := range []string{"host", "Python"} {
		t.Run("file of "+maker, func(t *testing.T) {
			t.Parallel()
			file, plugins := newFile(t), t.TempDir()
			if maker == "Python" {
				startPython(t, file).Stop(t)
			}
			first := harness.AddProbe(t, plugins, "first", pluginapi.Secret{Name: "ALPHA"})
			startHost(t, file, first.Args...).Stop(t)
			second := harness.AddProbe(t, plugins, "second", pluginapi.Secret{Name: "ALPHA"}, pluginapi.Secret{Name: "BETA"})
			host := startHost(t, file, append(first.Args, second.Args...)...)
			python := startPython(t, file)

			set(t, python, "ALPHA", "from Python", "")
			set(t, host, "BETA", "from the host", "")
			if got, err := first.Get(t, "ALPHA", "reader"); got != "from Python" || err != nil {
				t.Errorf("who has it reads %q, %v", got, err)
			}
			if got, err := second.Get(t, "ALPHA", "reader"); err == nil {
				t.Errorf("who was not approved reads %q", got)
			}
			operate(t, file, "plugin", "disable", "first")
			operate(t, file, "plugin", "approve", "second", "--secret", "ALPHA")
			if got, err := second.Get(t, "ALPHA", "reader"); got != "from Python" || err != nil {
				t.Errorf("who was approved reads %q, %v", got, err)
			}
			before := decided(t, file)
			if !strings.Contains(before, "share") || !strings.Contains(before, "first-use") || !strings.Contains(before, "local") || !strings.Contains(before, "ok") {
				t.Errorf("it says %s", before)
			}
			python.Stop(t)
			python = startPython(t, file) // which looks for migrations again
			set(t, python, "ALPHA", "again", "")
			shows(t, python, "/-/secrets", "ALPHA")
			if got := readPython(t, python, "BETA", "reader"); got != "from the host" {
				t.Errorf("Python reads %v", got)
			}
			if after := decided(t, file); after != before {
				t.Errorf("it says\n%s\nafter Python, and before\n%s", after, before)
			}
		})
	}
}

// A plugin whose introduction cannot be recorded, because another process keeps
// the file, is not served: it is shown as failing, says why, and comes up when
// the file is free. The page of plugins does not wait for the file.
func TestPluginOfALockedFileIsNotServed(t *testing.T) {
	t.Parallel()
	for mode, file := range files(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			plugins := t.TempDir()
			probe := harness.AddProbe(t, plugins, "probe", pluginapi.Secret{Name: "ALPHA"})
			host := startHost(t, file, probe.Args...)
			if err := os.WriteFile(filepath.Join(plugins, "probe.json"), []byte(`{"Secrets": [{"Name": "ALPHA"}, {"Name": "BETA"}]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			before := decided(t, file)
			release := hold(t, file, "immediate")
			operate(t, file, "plugin", "restart", "probe")
			becomes(t, host, "failing", "another process keeps the database locked")
			failsAgain(t, file)
			release()
			becomes(t, host, "ready", "BETA")
			if list := operate(t, file, "plugin", "list"); !strings.Contains(list, "secret BETA") {
				t.Errorf("what it asks for is not pending:\n%s", list)
			}
			if after := decided(t, file); after == before || !strings.Contains(after, "pending") {
				t.Errorf("it says\n%s", after)
			}
		})
	}
}

// failsAgain waits until the plugin was started again a few times. In a long run
// that is more often than a plugin may crash: it is not its fault.
func failsAgain(t *testing.T, file string) {
	t.Helper()
	enough := 2
	if harness.Soak() {
		enough = 7
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		var reports []struct {
			State    string
			Restarts int
		}
		decode(t, operate(t, file, "plugin", "list", "--json"), &reports)
		if reports[0].State == "failed" || time.Now().After(deadline) {
			t.Fatalf("the plugin is given up: %+v", reports)
		}
		if reports[0].Restarts >= enough {
			return
		}
	}
}

// becomes waits until the page of plugins says all of some texts.
func becomes(t *testing.T, host *harness.Process, texts ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		began := time.Now()
		page := host.Get(t, "/-/plugins", root()).Text
		if took := time.Since(began); took > patient {
			t.Fatalf("the page of plugins takes %v", took)
		}
		missing := ""
		for _, text := range texts {
			if !strings.Contains(page, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the page never says %q:\n%s", missing, page)
		}
	}
}
