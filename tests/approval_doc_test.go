package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/approval.md do what it says, one after the other, on a
// running host whose plugin asks for what they name.
func TestApprovalCommands(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/approval.md")
	plugins, dir := t.TempDir(), t.TempDir()
	probe := harness.AddProbe(t, plugins, "weather", pluginapi.Secret{Name: "WEATHER_KEY"})
	harness.Start(t, harness.Options{Args: append(probe.Args, "--internal", "internal.db"), Dir: dir})
	declares(t, plugins, "weather", "WEATHER_KEY", "MAP_KEY")
	command(t, dir, "plugin", "restart", "weather")
	eventually(t, "the plugin asks for more", func() bool {
		return strings.Contains(command(t, dir, "plugin", "list"), "secret MAP_KEY")
	})
	env := harness.Env("PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH"))
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			if !strings.HasPrefix(line, "datasette-secrets ") {
				continue // sqlite3 is not ours
			}
			// The probe offers no hook, which the host says.
			line = strings.Replace(line, " --hook http", "", 1)
			if got := harness.RunCommand(t, dir, env, "/bin/sh", "-c", line); got.Code != 0 || got.Stdout == "" {
				t.Errorf("%s: exit code %d\n%s", strings.TrimSpace(line), got.Code, got.Stderr)
			}
			ran++
		}
	}
	if ran != 8 {
		t.Errorf("%d commands were run, want 8", ran)
	}
	for _, hook := range []string{vault.HookValidator, vault.HookMenu, vault.HookActors, vault.HookAuthenticator, vault.HookHTTP} {
		if !strings.Contains(text, "| hook `"+hook+"` |") {
			t.Errorf("docs/approval.md does not tell what the hook %s is", hook)
		}
	}
}
