// Package conformance_test asks the real host whether it keeps Datasette's
// contract. The contract is a list of forty statements about what a program
// must do to be compatible with Datasette 1.0a37 and datasette-secrets 0.3a0,
// and each test is named after the number of one statement. Where this host
// decided to differ, as docs/compatibility.md explains, the test is of what was
// decided.
//
// The tests know the host only as its users do: command line, HTTP, the
// database file, and a plugin.
package conformance_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // what was stored, as it is in the file

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// rootCookie is the ds_actor cookie of {"id": "root"} under the secret "1", and
// updatedCookie the ds_messages cookie after EXAMPLE_SECRET was set: both were
// made by Datasette.
const (
	rootCookie    = "eyJhIjp7ImlkIjoicm9vdCJ9fQ.DmNeLS7C2pcVsPrdPKs27yGvXPc"
	adminCookie   = "eyJhIjp7ImlkIjoiYWRtaW4ifX0.D7eqYjgROIpjK5KlsuMW9b0BAKw"
	updatedCookie = "W1siU2VjcmV0IEVYQU1QTEVfU0VDUkVUIHVwZGF0ZWQiLDFdXQ.soCfoP4I2frLgTPGrMbSpt4JZBU"
)

const permissionDenied = `{"ok": false, "error": "Permission denied", "errors": ["Permission denied"], "status": 403}`

func root() secrets.Actor { return secrets.Actor{"id": "root"} }

// start starts a host.
func start(t *testing.T, args ...string) *harness.Process {
	t.Helper()
	return harness.Start(t, harness.Options{Args: args})
}

// startWithFile starts a host where root may do everything, and returns the
// file that it keeps the secrets in.
func startWithFile(t *testing.T, args ...string) (host *harness.Process, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "internal.db")
	return start(t, append([]string{"--root", "--internal", file}, args...)...), file
}

// get asks for one page on the command line.
func get(t *testing.T, path string, args ...string) harness.Result {
	t.Helper()
	return harness.Run(t, "", append([]string{"serve", "--get", path, "--secret", harness.Secret}, args...)...)
}

func wantStatus(t *testing.T, r harness.Response, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s %s: status %d, want %d\n%s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Text)
	}
}

func wantRedirect(t *testing.T, r harness.Response, location string) {
	t.Helper()
	wantStatus(t, r, http.StatusFound)
	if got := r.Header.Get("Location"); got != location {
		t.Errorf("%s %s: Location %q, want %q", r.Request.Method, r.Request.URL, got, location)
	}
}

// wantText checks that a page has texts in it, however their white space runs.
func wantText(t *testing.T, r harness.Response, texts ...string) {
	t.Helper()
	page := collapse(r.Text)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("%s: the page lacks %q:\n%s", r.Request.URL, text, r.Text)
		}
	}
}

func wantNoText(t *testing.T, r harness.Response, texts ...string) {
	t.Helper()
	page := collapse(r.Text)
	for _, text := range texts {
		if strings.Contains(page, text) {
			t.Errorf("%s: the page has %q:\n%s", r.Request.URL, text, r.Text)
		}
	}
}

func collapse(text string) string { return strings.Join(strings.Fields(text), " ") }

// heading is the text of the page's h1.
func heading(r harness.Response) string {
	m := regexp.MustCompile(`(?s)<h1>(.*?)</h1>`).FindStringSubmatch(r.Text)
	if m == nil {
		return ""
	}
	return m[1]
}

// wantMessages checks the messages that an answer leaves for the next page.
func wantMessages(t *testing.T, r harness.Response, want ...signing.Message) {
	t.Helper()
	cookie, _ := r.Cookie("ds_messages")
	got := signing.New(harness.Secret).Messages(cookie)
	if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s %s: messages %v, want %v", r.Request.Method, r.Request.URL, got, want)
	}
}

// wantCookie checks a whole Set-Cookie header.
func wantCookie(t *testing.T, r harness.Response, pattern string) {
	t.Helper()
	lines := r.Header.Values("Set-Cookie")
	for _, line := range lines {
		if regexp.MustCompile("^(?:" + pattern + ")$").MatchString(line) {
			return
		}
	}
	t.Errorf("%s %s: Set-Cookie %q, want one that matches %s", r.Request.Method, r.Request.URL, lines, pattern)
}

// sign signs any value, which Datasette calls doing so in a namespace.
func sign(t *testing.T, namespace string, value any) string {
	t.Helper()
	signed, err := signing.New(harness.Secret).Sign(namespace, value)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// actorOf is what the host says about who asks.
func actorOf(t *testing.T, host *harness.Process, r harness.Request) string {
	t.Helper()
	r.Path = "/-/actor.json"
	answer := host.Do(t, r)
	wantStatus(t, answer, http.StatusOK)
	return answer.Text
}

// row is one row of a database, with its columns by name.
type row map[string]any

// query reads a database file that a host may have open.
func query(t *testing.T, file, statement string, args ...any) []row {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(file)+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for found.Next() {
		values := make([]any, len(names))
		pointers := make([]any, len(names))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := found.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		r := row{}
		for i, name := range names {
			r[name] = values[i]
		}
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// stored is every version of a secret, oldest first.
func stored(t *testing.T, file, name string) []row {
	t.Helper()
	return query(t, file, "select * from datasette_secrets where name = ? order by version", name)
}

// clearText decrypts what a row holds.
func clearText(t *testing.T, r row) string {
	t.Helper()
	keys, err := keyring.Parse(harness.Key)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := r["encrypted"].([]byte)
	value, err := keys.Open(keyring.Place{KeyName: keyring.DefaultName}, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return value.Reveal()
}

// writeFile writes a file into a new folder and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readVectors reads one of the files that Datasette's behaviour was recorded
// in.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// toJSON writes a value as Datasette signs it.
func toJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
