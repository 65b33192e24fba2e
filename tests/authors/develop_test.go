package authors

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// patience is how long a test waits for what is to happen soon.
const patience = 2 * time.Minute

// develop starts a host for the author of plugins.
func develop(t *testing.T, args ...string) *harness.Process {
	t.Helper()
	return harness.Start(t, harness.Options{NoKey: true, Args: append([]string{"--dev", "--root"}, args...)})
}

// logs waits until the host logged a line that the pattern matches, so often.
func logs(t *testing.T, p *harness.Process, times int, pattern string) {
	t.Helper()
	line := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(patience); len(line.FindAllString(p.Stderr.String(), -1)) < times; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not %d times in the log:\n%s", pattern, times, p.Stderr)
		}
	}
}

// shows waits until a page shows a text.
func shows(t *testing.T, p *harness.Process, path string, actor secrets.Actor, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		page := p.Get(t, path, actor).Text
		if strings.Contains(page, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not on %s:\n%s\n%s", text, path, page, p.Stderr)
		}
	}
}

// replace puts a program in the place of another, as "go build" does.
func replace(t *testing.T, path, with string) {
	t.Helper()
	data, err := os.ReadFile(with)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// program builds a plugin that says a word when it starts, with more code if
// that is given.
func program(t *testing.T, word, more string) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(harness.Root(), "tests", "testdata"), "develop-") // inside the module
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	harness.WriteFile(t, filepath.Join(dir, "main.go"), fmt.Sprintf(`package main

import (
	"context"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

type plugin struct{}

func (plugin) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: "SAYS_%[1]s"}}, nil
}

func (plugin) Start(ctx context.Context, host pluginapi.Host) error {
	host.Logger().Warn("hello from %[1]s", "sent", "two words")
	for _, err := range host.Watch(ctx, "SAYS_%[1]s") {
		if err != nil {
			return err
		}
		key, err := host.GetSecret(ctx, "SAYS_%[1]s", "")
		host.Logger().Debug("key", "length", key.Len(), "error", err)
	}
	return nil
}

%[2]s

func main() { pluginapi.Serve(plugin{}) }
`, word, more), 0o644)
	path := filepath.Join(t.TempDir(), word)
	if out, err := exec.Command("go", "build", "-o", path, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

const now = `^\d\d:\d\d:\d\d `

// An author's day: a program that is given by its path is started, replaced,
// broken and mended, and gets every secret it asks for.
func TestDevelop(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "bin")
	replace(t, bin, program(t, "ONE", ""))
	host := develop(t, "--plugin", bin)
	logs(t, host, 1, now+`INFO  bin +the plugin is ready$`)
	logs(t, host, 1, now+`WARN  bin +hello from ONE  sent="two words"$`)
	logs(t, host, 1, now+`WARN  host +DEVELOPMENT MODE: `)

	replace(t, bin, program(t, "TWO", `
func (plugin) MenuLinks(context.Context, pluginapi.Actor) ([]pluginapi.MenuLink, error) {
	return []pluginapi.MenuLink{{Href: "/-/plugins/bin/", Label: "Two things"}}, nil
}
`))
	logs(t, host, 1, now+`WARN  bin +hello from TWO`)
	root := secrets.Actor{"id": "root"}
	// Nobody approved the link; a slow answer is left out.
	shows(t, host, "/-/secrets", root, "Two things")
	if page := host.Get(t, "/-/secrets", root).Text; !strings.Contains(page, "Development mode.") {
		t.Errorf("the page lacks the banner:\n%s", page)
	}
	if set := host.SetSecret(t, "SAYS_TWO", "hunter2", "", root); set.StatusCode != 302 {
		t.Fatalf("status %d: %s", set.StatusCode, set.Text)
	}
	logs(t, host, 1, now+`DEBUG bin +key  error="" length=7$`)

	breaks := filepath.Join(t.TempDir(), "broken")
	harness.WriteFile(t, breaks, "#!/bin/sh\necho no luck >&2; exit 3\n", 0o755)
	replace(t, bin, breaks)
	logs(t, host, 1, now+`INFO  bin +no luck$`)
	if got := host.Get(t, "/-/plugins", root).Text; !strings.Contains(got, "ready") {
		t.Errorf("the former program is gone: %s", got)
	}
	replace(t, bin, program(t, "THREE", ""))
	logs(t, host, 1, now+`WARN  bin +hello from THREE`)
}

// A program that does not work is started again as soon as it changes.
func TestDevelopMends(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "datasette-secrets-plugin-mended")
	harness.WriteFile(t, bin, "#!/bin/sh\necho no luck >&2; exit 3\n", 0o755)
	host := develop(t, "--plugin", bin)
	logs(t, host, 1, now+`ERROR mended +the plugin crashed too often`)
	replace(t, bin, program(t, "LUCK", ""))
	logs(t, host, 1, now+`WARN  mended +hello from LUCK`)
}

// A script is started anew when a source of its project changes.
func TestDevelopScripts(t *testing.T) {
	t.Parallel()
	for language, c := range map[string]struct{ program, source, before, after string }{
		"python": {".venv/bin/datasette-secrets-plugin-weather", "plugin.py", "waiting for", "longing for"},
		"node":   {"datasette-secrets-plugin-weather", "plugin.js", "waiting for", "longing for"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			dir := newProject(t, language)
			host := develop(t, "--plugin", filepath.Join(dir, c.program))
			logs(t, host, 1, now+`INFO  weather +waiting for WEATHER_API_KEY$`)
			source := filepath.Join(dir, c.source)
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, source, strings.ReplaceAll(string(text), c.before, c.after), 0o644)
			logs(t, host, 1, now+`INFO  weather +longing for WEATHER_API_KEY$`)
		})
	}
}

// Development mode makes a key of its own for a database that is lost, and for
// no other.
func TestDevelopKey(t *testing.T) {
	t.Parallel()
	host := develop(t, "--internal", "internal.db")
	posted := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: secrets.Actor{"id": "root"}, Form: url.Values{"secret": {"x"}, "note": {""}}})
	if posted.StatusCode != 400 || !strings.Contains(posted.Text, "has not been configured") {
		t.Errorf("status %d: %s", posted.StatusCode, posted.Text)
	}
}
