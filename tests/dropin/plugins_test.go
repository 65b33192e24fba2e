package dropin_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// Plugins as they are on PyPI declare their secrets to the host, wait until an
// administrator approves them, and then get their values from it.
func TestPluginsOfPyPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	datasette := w.datasetteWith(t, w.URL, nil, table(t))

	// What they declare is on the host's pages.
	shows(t, w.Process, "/-/secrets", "OPENAI_API_KEY", "Get an OpenAI API key", "https://platform.openai.com/api-keys",
		"DEMO_ONE", "The first of the demo", "DEMO_TWO", "Get the second", "DEMO_THREE", "https://example.com/three", "ALPHA")
	w.set(t, "OPENAI_API_KEY", "sk-hunter2")
	w.set(t, "DEMO_ONE", "one")
	want(t, "before it is approved", read(t, datasette, "OPENAI_API_KEY", "root"), "None")
	datasette.Logs(t, "OPENAI_API_KEY is not available to this Datasette")
	form := "/-/enrich/data/docs/gpt"
	if page := datasette.Get(t, form, root()); !strings.Contains(page.Text, "enrichment_secret") {
		t.Errorf("datasette-enrichments-gpt asks for no key: %s", page.Status)
	}

	w.client(t, "approve", "datasette")
	want(t, "approved", read(t, datasette, "OPENAI_API_KEY", "ann"), "=sk-hunter2")
	want(t, "of the demo", read(t, datasette, "DEMO_ONE"), "=one")
	shows(t, w.Process, "/-/secrets/OPENAI_API_KEY", "ann")
	if page := datasette.Get(t, form, root()); page.StatusCode != 200 || strings.Contains(page.Text, "enrichment_secret") {
		t.Errorf("datasette-enrichments-gpt still asks for a key: %s", page.Status)
	}
	shows(t, datasette, "/data/docs", "Extract data into this table with AI")
	var key struct{ Value string }
	decode(t, datasette.Get(t, "/-/through-llm/gpt-4o?actor=bob", nil).Text, &key)
	if key.Value != "sk-hunter2" {
		t.Errorf("datasette-llm gets %q", key.Value)
	}

	// Who read it is known.
	shows(t, w.Process, "/-/secrets/OPENAI_API_KEY", "bob")
	log := w.log(t)
	for _, entry := range []string{
		"get OPENAI_API_KEY datasette root false", "get OPENAI_API_KEY datasette ann true", "get OPENAI_API_KEY datasette bob true",
		"get OPENAI_API_KEY datasette None true", "get DEMO_ONE datasette None true",
	} {
		if !slices.Contains(log, entry) {
			t.Errorf("the host's log lacks %q:\n%s", entry, strings.Join(log, "\n"))
		}
	}
	if log := datasette.Stderr.String() + w.Stderr.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "dssc_") {
		t.Errorf("a value or token is in a log:\n%s", log)
	}
}

// table is a database with a table to browse.
func table(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.db")
	harness.PythonScript(t, `
import sqlite3, sys
sqlite3.connect(sys.argv[1]).executescript("create table docs (id integer primary key, text text); insert into docs (text) values ('one')")
print("null")
`, new(any), path)
	return path
}
