package tests

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const hooksConfig = `
permissions:
  manage-secrets: {id: [root, alice]}
  manage-plugins: {id: [root, alice]}
plugins:
  datasette-secrets:
    plugins:
      weather:
        headers: [X-Forwarded-User]
`

// A plugin in its sandbox signs people in, once an administrator lets it, and
// only as far as it may.
func TestSignInByAPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "datasette.yml")
	if err := os.WriteFile(config, []byte(hooksConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	host := harness.Start(t, harness.Options{Dir: dir, Args: []string{
		"--plugins-dir", harness.PluginDir(t, "weather", "tests/testdata/plugins/weather"), "-c", config, "--root", "--internal", "internal.db",
	}})
	as := func(user, path string, form url.Values) harness.Response {
		t.Helper()
		return host.Do(t, harness.Request{Path: path, Form: form, Header: map[string]string{"X-Forwarded-User": user}})
	}
	decide := func(decision string) {
		t.Helper()
		if r := harness.Run(t, dir, "plugin", decision, "weather", "--hook", "authenticator", "--internal", "internal.db"); r.Code != 0 {
			t.Fatalf("%s: %s%s", decision, r.Stdout, r.Stderr)
		}
	}
	is := func(user, want string) {
		t.Helper()
		deadline := time.Now().Add(time.Minute) // a decision of another process takes a moment
		for {
			answer := as(user, "/-/actor.json", nil)
			if strings.Contains(answer.Text, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is %s, want %s\n%s", user, answer.Text, want, host.Stderr)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	const nobody = `"actor": null`
	is("alice", nobody)
	decide("approve")
	is("alice", `"actor": {"id": "alice"}`)
	is("root", nobody)
	is("ROOT", nobody)
	for path, want := range map[string]int{
		"/-/secrets": http.StatusOK, "/-/plugins": http.StatusOK, "/-/plugins/weather/": http.StatusOK,
		"/-/manage-plugins/weather": http.StatusForbidden, "/-/create-token": http.StatusForbidden,
	} {
		if answer := as("alice", path, nil); answer.StatusCode != want {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if answer := as("alice", "/-/plugins/weather/", nil); !strings.Contains(answer.Text, "Hello alice") {
		t.Errorf("the plugin's page says %s", answer.Text)
	}
	if answer := as("alice", "/-/secrets/WEATHER_KEY", url.Values{"secret": {"wk-1"}}); answer.StatusCode != http.StatusFound {
		t.Errorf("setting a secret: %s", answer.Status)
	}
	if answer := as("alice", "/-/plugins/weather/secret", nil); answer.Text != "used it: true, not set: false" {
		t.Errorf("the plugin's page says %s", answer.Text)
	}
	if answer := as("eve", "/-/secrets", nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("eve: %s", answer.Status)
	}
	decide("refuse")
	is("alice", nobody)
	if answer := as("alice", "/-/secrets", nil); answer.StatusCode != http.StatusForbidden {
		t.Errorf("after the refusal: %s", answer.Status)
	}
}
