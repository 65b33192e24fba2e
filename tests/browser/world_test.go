package browser_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // what a host finds in its file

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// canary is part of every value that the hosts of these tests hold.
const canary = "canary-7c1e"

// startBusy starts a host in use: three plugins, of which one fails, a dozen
// secrets in every state, and a database file.
func startBusy(t *testing.T) *harness.Process {
	t.Helper()
	dir, plugins := t.TempDir(), harness.PluginDir(t, "demo", "plugins/demo")
	probe := harness.AddProbe(t, plugins, "billing", billing()...)
	harness.AddRefusingProbe(t, plugins, "weather")
	config := filepath.Join(dir, "datasette.yml")
	writeFile(t, config, busyConfig)
	host := harness.Start(t, harness.Options{
		Env: []string{"DATASETTE_SECRETS_SMTP_PASSWORD=" + canary},
		Args: append(probe.Args, "-c", config, "--root", "--create", filepath.Join(dir, "invoices.db"),
			"--internal", filepath.Join(dir, "internal.db")),
	})
	put(t, host, "STRIPE_SECRET_KEY", "first key", "test mode only", "live mode, rotates in March")
	put(t, host, "OPENAI_API_KEY", "shared with the search team")
	put(t, host, "GEOCODER_TOKEN_FOR_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME", strings.Repeat("W", 100))
	put(t, host, "DEMO_API_KEY", "")
	put(t, host, "S3_ACCESS_KEY", "gone")
	post(t, host, "/-/secrets/S3_ACCESS_KEY/-/delete", url.Values{})
	if _, err := probe.Get(t, "STRIPE_SECRET_KEY", "billing-at-night"); err != nil {
		t.Fatal(err)
	}
	return host
}

const busyConfig = `
settings:
  max_post_body_bytes: 2000
plugins:
  weather:
    api_key: not shown
    cities: [Lisbon, Oslo]
  datasette-secrets:
    trust-asserted-actors: true
    secrets:
      STRIPE_SECRET_KEY:
        permissions:
          datasette-secret: {id: [billing-at-night, amy], team: invoices-and-reminders}
        plugins: [billing, the-bookkeeping-of-the-european-region]
permissions:
  datasette-secret:
    roles: [staff]
  manage-secrets:
    id: [root, amy]
`

func billing() []pluginapi.Secret {
	return []pluginapi.Secret{
		{Name: "STRIPE_SECRET_KEY", Description: "Pays the invoices. See <code>billing.md</code>", ObtainURL: "https://example.com/keys", ObtainLabel: "Create a key at Stripe"},
		{Name: "OPENAI_API_KEY", Description: "Sorts incoming mail"},
		{Name: "GEOCODER_TOKEN_FOR_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME", Description: "Finds addresses"},
		{Name: "S3_ACCESS_KEY", Description: "Where invoices are kept", ObtainURL: "https://example.com/s3", ObtainLabel: "Console"},
		{Name: "SMTP_PASSWORD", Description: "Sends the invoices"},
		{Name: "SLACK_WEBHOOK"},
		{Name: "LDAP_PASSWORD", Description: "Reads the directory"},
		{Name: "BANK_API_CERTIFICATE", Description: "A <strong>PEM</strong> file with the whole chain"},
		{Name: "EXCHANGE_RATES_KEY", ObtainURL: "https://example.com/rates", ObtainLabel: "Free key"},
	}
}

// startFormal starts a host whose plugin says what its values look like.
func startFormal(t *testing.T) *harness.Process {
	t.Helper()
	token := pluginapi.Secret{
		Description: "A token of the mail service", Pattern: `sk-[a-z]+(-[a-z0-9]+){2,40}`, Example: "sk-live-0123-4567-89ab-cdef",
		Redact: pluginapi.Redact{Prefix: 3, Suffix: 4},
	}
	used, unused := token, token
	used.Name, unused.Name = "API_TOKEN", "NEW_TOKEN"
	probe := harness.AddProbe(t, t.TempDir(), "formal", used, unused, pluginapi.Secret{
		Name: "SIGNING_KEY", Description: "Signs outgoing mail", Multiline: true, Pattern: "(?s)-----BEGIN .*-----END .*",
		Example: "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj…\n-----END PRIVATE KEY-----",
	})
	host := harness.Start(t, harness.Options{Args: append(probe.Args, "--root")})
	post(t, host, "/-/secrets/API_TOKEN", url.Values{"secret": {"sk-" + canary + "-0123456789-0123456789-wxyz"}})
	return host
}

// startHostile starts a host whose plugin and whose rows, written by another
// program, hold what a page must not run.
func startHostile(t *testing.T) *harness.Process {
	t.Helper()
	file, plugins := filepath.Join(t.TempDir(), "internal.db"), t.TempDir()
	probe := harness.AddProbe(t, plugins, "hostile",
		pluginapi.Secret{Name: "SCRIPTED", Description: `<script>pwned("script")</script><img src=x onerror=pwned("img")><a href="javascript:pwned('a')" onmouseover=pwned("over")>text</a>`},
		pluginapi.Secret{Name: "LINKED", Description: `"><svg onload=pwned("svg")>`, ObtainURL: `https://example.com/"onmouseover="pwned('obtain')`, ObtainLabel: `"><script>pwned("label")</script>`},
	)
	host := harness.Start(t, harness.Options{Args: append(probe.Args, "--root", "--internal", file)})
	for _, name := range hostileNames() {
		execute(t, file, `insert into datasette_secrets
			(name, version, note, encrypted, encryption_key_name, created_at, created_by, updated_at, updated_by, last_used_at, last_used_by)
			values (?, 1, ?, 'x', 'default', ?, ?, ?, ?, ?, ?)`,
			name, `<script>pwned("note")</script>"onmouseover="pwned('note')`, `"><script>pwned("at")</script>`, `<img src=x onerror=pwned("by")>`,
			`2026-02-03 04:05:06`, `<svg/onload=pwned("updated")>`, `<script>`, `{{.}}${pwned("used")}`)
	}
	return host
}

func hostileNames() []string {
	return []string{`"onmouseover="pwned('name')`, `<script>pwned("name")<script>`, `javascript:pwned("name")`, strings.Repeat("W", 255)}
}

// put stores one version of a secret for each note.
func put(t *testing.T, host *harness.Process, name string, notes ...string) {
	t.Helper()
	for _, note := range notes {
		post(t, host, "/-/secrets/"+name, url.Values{"secret": {canary + " of " + name}, "note": {note}})
	}
}

func post(t *testing.T, host *harness.Process, path string, form url.Values) {
	t.Helper()
	answer := host.Do(t, harness.Request{Path: path, Actor: root(), Method: http.MethodPost, Form: form})
	if answer.StatusCode != http.StatusFound {
		t.Fatalf("POST %s: %s\n%s", path, answer.Status, answer.Text)
	}
}

func execute(t *testing.T, file, statement string, args ...any) {
	t.Helper()
	if _, err := database(t, file).ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// lock keeps everybody else from writing to a file. It returns how to let go.
func lock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	conn, err := database(t, file).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(context.Background(), "begin immediate"); err != nil {
		t.Fatal(err)
	}
	return func() { conn.ExecContext(context.Background(), "rollback"); conn.Close() }
}

func database(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(file)+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func amy() secrets.Actor { return secrets.NewActor("amy") }

// stranger is signed in and may not manage secrets.
func stranger() secrets.Actor { return secrets.NewActor("stranger") }
