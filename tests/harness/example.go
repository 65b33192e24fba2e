package harness

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// RunExample runs one of the plugins in examples as its users do: under the
// real host, with a sandbox that insists on everything. It takes two keys into
// use, one after the other, and says nothing about them but their length. args
// are those of the host; name is that of the plugin.
func RunExample(t testing.TB, name string, args ...string) {
	t.Helper()
	root := secrets.Actor{"id": "root"}
	host := Start(t, Options{Args: append([]string{"--root", "-s", "plugins.datasette-secrets.sandbox", "enforce", "--log-format", "text"}, args...)})
	host.Logs(t, "waiting for TRANSLATE_API_KEY")
	page := host.Get(t, "/-/plugins", root).Text
	ready := regexp.MustCompile(`<h2[^>]*>` + name + `[^\n]*badge-ready`)
	if !ready.MatchString(page) || !strings.Contains(page, "<dt>Sandbox</dt><dd>enforce") {
		t.Errorf("the page of plugins does not show %s as ready in its sandbox:\n%s", name, page)
	}
	page = host.Get(t, "/-/secrets", root).Text
	for _, want := range []string{"TRANSLATE_API_KEY", "Key of the translation service", `href="https://example.com/keys"`, "Get a key"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of secrets lacks %q", want)
		}
	}
	for value, logged := range map[string]string{"hunter2": "key_length=7", "correct horse battery": "key_length=21"} {
		if r := host.SetSecret(t, "TRANSLATE_API_KEY", value, "", root); r.StatusCode != http.StatusFound {
			t.Fatalf("setting a value: %d", r.StatusCode)
		}
		host.Logs(t, logged)
	}
	if log := host.Stderr.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "correct horse") {
		t.Errorf("a value is in the log:\n%s", log)
	}
	if code := host.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, host.Stderr)
	}
}
