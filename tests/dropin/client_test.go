package dropin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The client for other programs is a mapping of what its token may read, over
// TCP and a unix socket, without Datasette.
func TestClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA", "BETA")
	w.set(t, "ALPHA", "one\n two")
	for where, address := range map[string]string{"TCP": w.URL, "a socket": w.socket} {
		for how, variable := range map[string]string{
			"a variable": "DATASETTE_SECRETS_TOKEN=" + readFile(t, w.token), "a file": "DATASETTE_SECRETS_TOKEN_FILE=" + w.token,
		} {
			env := []string{"DATASETTE_SECRETS_HOST=" + address, variable}
			if got := script(t, harness.Dropin(t), "client.py", env); got != "as it should be\n" {
				t.Errorf("over %s, with a token of %s: %s", where, how, got)
			}
		}
	}
	if log := w.log(t); strings.Count(strings.Join(log, "\n"), "get ALPHA datasette") != 4*3 {
		t.Errorf("12 reads are not what the log has:\n%s", strings.Join(log, "\n"))
	}
	for env, want := range map[string]string{
		"":                                 "ConfigurationError",
		"DATASETTE_SECRETS_HOST=" + w.URL:  "ConfigurationError",
		"DATASETTE_SECRETS_HOST=/nosuch":   "ConfigurationError",
		"DATASETTE_SECRETS_TOKEN=dssc_one": "ConfigurationError",
	} {
		r := harness.RunCommand(t, "", harness.Env(env), harness.Dropin(t), "-c", "from datasette_secrets.client import secrets; secrets['ALPHA']")
		if r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit code %d\n%s", env, r.Code, r.Stderr)
		}
	}
}

// The program of the README runs as it stands there.
func TestReadme(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "DJANGO_SECRET_KEY", "SENTRY_DSN")
	w.set(t, "DJANGO_SECRET_KEY", "django-hunter2")
	blocks := regexp.MustCompile("(?ms)^```python\n(.*?)^```").FindAllStringSubmatch(readFile(t, filepath.Join(harness.Root(), "sdk", "datasette", "README.md")), -1)
	if len(blocks) != 1 {
		t.Fatalf("%d programs in the README", len(blocks))
	}
	env := harness.Env("DATASETTE_SECRETS_HOST="+w.socket, "DATASETTE_SECRETS_TOKEN_FILE="+w.token)
	r := harness.RunCommand(t, "", env, harness.Dropin(t), "-c", blocks[0][1]+"\nprint(SECRET_KEY, repr(SENTRY_DSN))")
	if r.Stdout != "django-hunter2 ''\n" {
		t.Errorf("%q\n%s", r.Stdout, r.Stderr)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
