package harness

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// RunHooks runs the plugin "weather" of an SDK's README, which offers all that a
// plugin can offer, under the real host in its sandbox. args are those of the
// host.
func RunHooks(t testing.TB, args ...string) {
	t.Helper()
	dir, root, ada := t.TempDir(), secrets.Actor{"id": "root"}, secrets.Actor{"id": "ada"}
	host := Start(t, Options{Dir: dir, Args: append([]string{
		"--root", "--internal", "internal.db",
		"-s", "plugins.datasette-secrets.sandbox", "enforce",
		"-s", "plugins.datasette-secrets.plugins.weather.headers", `["x-forwarded-user"]`,
		"-s", "permissions.view-instance", "true", "-s", "permissions.manage-secrets.id", `["root", "ada"]`,
	}, args...)})
	wants := func(path string, actor secrets.Actor, status int, texts ...string) {
		t.Helper()
		// What a plugin says late is left out, and it may have started just now.
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			r := host.Get(t, path, actor)
			if r.StatusCode == status && containsAll(r.Text, texts) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: status %d, want %d and %q:\n%s\n%s", path, r.StatusCode, status, texts, r.Text, host.Stderr)
			}
		}
	}

	wants("/-/plugins/weather/oslo", ada, http.StatusServiceUnavailable, "There is no key yet")
	for value, want := range map[string]string{
		"hunter2":    "does not work: keys of the weather service begin with wk-",
		"wk-hunter2": "Plugin weather says that WEATHER_KEY works",
	} {
		posted := host.SetSecret(t, "WEATHER_KEY", value, "", ada)
		messages, _ := posted.Cookie("ds_messages")
		page := host.Do(t, Request{Path: "/-/secrets/WEATHER_KEY", Cookie: "ds_messages=" + messages + "; ds_actor=" + ActorCookie(t, root)})
		if !strings.Contains(page.Text, want) {
			t.Errorf("after saving %s the page lacks %q:\n%s", value, want, page.Text)
		}
	}
	wants("/-/secrets", root, http.StatusOK, `<a href="/-/plugins/weather/"`, ">Weather</a>", `<span title="ada">Ada Lovelace</span>`)
	wants("/-/plugins/weather/oslo", ada, http.StatusOK, "Hello ada, it is sunny")

	// Who sends a request is a plugin's to say when an administrator approves.
	sender := func() string {
		return host.Do(t, Request{Path: "/-/actor.json", Header: map[string]string{"X-Forwarded-User": "eve"}}).Text
	}
	if got := sender(); strings.Contains(got, "eve") {
		t.Errorf("without approval the sender is %s", got)
	}
	if r := Run(t, dir, "plugin", "approve", "weather", "--hook", "authenticator", "--internal", "internal.db"); r.Code != 0 {
		t.Fatalf("plugin approve: exit code %d\n%s", r.Code, r.Stderr)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(sender(), `"eve"`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("with approval the sender is %s\n%s", sender(), host.Stderr)
		}
	}
	host.Stop(t)
	if log := host.Stderr.String(); strings.Contains(log, "hunter2") {
		t.Errorf("a value is in the log:\n%s", log)
	}
	left, err := filepath.Glob(filepath.Join(dir, "internal.db-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the host left %v, %v", left, err)
	}
}

// CheckHooks tries the program of RunHooks out with "plugin test", as the README
// says: those checks that are about what it offers. It may read the folders.
func CheckHooks(t testing.TB, program string, folders ...string) {
	t.Helper()
	args := []string{"plugin", "test", program, "--slow", "6"}
	for _, folder := range folders {
		args = append(args, "--read", folder)
	}
	for _, check := range []string{"validator", "menu", "actors", "authenticator", "http", "concurrency", "sandbox", "secrecy"} {
		args = append(args, "--only", check)
	}
	if r := Run(t, filepath.Dir(program), args...); r.Code != 0 || !strings.Contains(r.Stdout, " 0 failed, 0 skipped") {
		t.Errorf("plugin test: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
