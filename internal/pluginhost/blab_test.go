package pluginhost_test

import (
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// A plugin that writes its secrets to its log, in every way that happens by
// accident, tells them to nobody: not to the host's log, not to the lines that
// are kept for administrators, not to the reason of its failure.
func TestBlabber(t *testing.T) {
	t.Parallel()
	secretsOf := map[string]string{
		"BLAB_KEY":   `sk-proj-4f9Ab3/x+Y_z~Q%41 "quoted" päss`,
		"BLAB_LINES": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n",
	}
	v := newVault(t)
	for name, value := range secretsOf {
		if _, err := v.Put(t.Context(), rootCaller(), name, secrets.NewValue(value), ""); err != nil {
			t.Fatal(err)
		}
	}
	w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, "blabber", "healthy"), Timings: quick(), Vault: v})
	w.says("blabbed")
	w.failsWith("blabber", "exit status 2")
	w.says("goroutine ") // the trace of its panic

	texts := []string{w.log.text(), w.status("blabber").LastError}
	lines := w.Log("blabber", 0)
	for _, line := range lines {
		texts = append(texts, line.Text)
	}
	if len(lines) < 100 || !strings.Contains(texts[0], "[redacted]") || strings.Contains(texts[0], "[withheld") {
		t.Errorf("%d lines are kept", len(lines))
	}
	for name, value := range secretsOf {
		for form, written := range forms(strings.TrimSpace(value)) {
			for _, text := range texts {
				if part := leaks(text, written); part != "" {
					t.Errorf("%s as %s: %q is told", name, form, around(text, part))
					break
				}
			}
		}
	}
	w.isUnharmed()
}

// around is where a part stands in a text.
func around(text, part string) string {
	i := strings.Index(text, part)
	return text[max(0, i-100):min(len(text), i+100)]
}
