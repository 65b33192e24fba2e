package conformance_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)

// post sends the fields of a form for EXAMPLE_SECRET, and no others.
func post(t *testing.T, host *harness.Process, fields url.Values, actor secrets.Actor) harness.Response {
	t.Helper()
	return host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: actor, Form: fields})
}

func Test24SetSecret(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "permissions.manage-secrets.id", `["root", 7]`)
	r := host.SetSecret(t, "EXAMPLE_SECRET", "hunter2", "The note", root())
	wantRedirect(t, r, "/-/secrets")
	wantCookie(t, r, "ds_messages="+updatedCookie+"; Path=/; (HttpOnly; )?SameSite=lax")
	if r.Text != "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("body %q of type %q", r.Text, r.Header.Get("Content-Type"))
	}
	rows := query(t, file, "select *, typeof(encrypted) as kind from datasette_secrets")
	if len(rows) != 1 {
		t.Fatalf("stored %v", rows)
	}
	got := rows[0]
	for column, want := range map[string]any{
		"name": "EXAMPLE_SECRET", "note": "The note", "version": int64(1), "encryption_key_name": "default",
		"created_by": "root", "updated_by": "root", "updated_at": got["created_at"], "kind": "blob",
		"deleted_at": nil, "deleted_by": nil, "last_used_at": nil, "last_used_by": nil,
	} {
		if got[column] != want {
			t.Errorf("%s is %v, want %v", column, got[column], want)
		}
	}
	if at, _ := got["created_at"].(string); !timestamp.MatchString(at) {
		t.Errorf("created_at is %v", got["created_at"])
	}
	if text := clearText(t, got); text != "hunter2" {
		t.Errorf("the stored text is %q", text)
	}
	// An id that is a number is stored as text.
	post(t, host, url.Values{"secret": {"x"}}, secrets.Actor{"id": 7})
	if rows := stored(t, file, "EXAMPLE_SECRET"); rows[1]["created_by"] != "7" {
		t.Errorf("created_by is %v", rows[1]["created_by"])
	}
}

// A form is read as a form whatever it says it is, and the last of several
// fields counts.
func Test24FormBodies(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	for _, test := range []struct{ kind, body, want string }{
		{"text/plain", "secret=a%20b+c%26d", "a b c&d"},
		{"application/json", "secret=x&secret=y", "y"},
		{"", "other=1&secret=%C3%A9", "é"},
		{"", "secret=%FF", "\uFFFD"},
		{"", "secret=100%&note", "100%"},
	} {
		r := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: test.body, Header: map[string]string{"Content-Type": test.kind}})
		wantRedirect(t, r, "/-/secrets")
		rows := stored(t, file, "EXAMPLE_SECRET")
		if got := clearText(t, rows[len(rows)-1]); got != test.want {
			t.Errorf("%s: stored %q, want %q", test.body, got, test.want)
		}
	}
	before := len(stored(t, file, "EXAMPLE_SECRET"))
	invalid := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: "secret=\xff"})
	wantStatus(t, invalid, http.StatusBadRequest)
	if after := len(stored(t, file, "EXAMPLE_SECRET")); after != before {
		t.Error("a body that is not UTF-8 was stored")
	}
}

func Test25SecondVersion(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	host.SetSecret(t, "EXAMPLE_SECRET", "one", "first note", root())
	host.SetSecret(t, "EXAMPLE_SECRET", "two", "", root())
	rows := stored(t, file, "EXAMPLE_SECRET")
	if len(rows) != 2 || rows[0]["version"] != int64(1) || rows[1]["version"] != int64(2) {
		t.Fatalf("stored %v", rows)
	}
	if rows[0]["note"] != "first note" || rows[1]["note"] != "" { // it is not inherited
		t.Errorf("notes %q and %q", rows[0]["note"], rows[1]["note"])
	}
	if clearText(t, rows[0]) != "one" || clearText(t, rows[1]) != "two" {
		t.Error("the versions hold other texts")
	}
	list := host.Get(t, "/-/secrets", root())
	if got := cells(t, list, "EXAMPLE_SECRET"); got["Version"] != "2" || got["Note"] != "" || got["Updated by"] != "root" || got["Last updated"] != rows[1]["updated_at"] {
		t.Errorf("the list shows %v", got)
	}
	wantNoText(t, list, "first note", "has not been set")
}

func Test26BlankSecretChangesTheNote(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t, "-s", "permissions.manage-secrets.id", `["root", "bob"]`)
	host.SetSecret(t, "EXAMPLE_SECRET", "one", "old", root())
	query(t, file, "update datasette_secrets set created_at = '2020-01-01 00:00:00', updated_at = '2020-01-01 00:00:00'")
	updated := signing.Message{Text: "Note updated: EXAMPLE_SECRET", Type: signing.Info}
	for _, test := range []struct {
		fields   url.Values
		note     string
		messages []signing.Message
	}{
		{url.Values{"secret": {""}, "note": {"new"}}, "new", []signing.Message{updated}},
		{url.Values{"secret": {" \r\n\t"}, "note": {"new"}}, "new", nil}, // the same again
		{url.Values{"secret": {""}, "note": {""}}, "", nil},              // cleared in silence
		{url.Values{"note": {"<b>"}}, "<b>", []signing.Message{updated}},
		{url.Values{"secret": {""}}, "", nil}, // a note that is left out is no note
	} {
		r := post(t, host, test.fields, secrets.Actor{"id": "bob"})
		wantRedirect(t, r, "/-/secrets")
		wantMessages(t, r, test.messages...)
		rows := stored(t, file, "EXAMPLE_SECRET")
		if len(rows) != 1 {
			t.Fatalf("%v: %d versions", test.fields, len(rows))
		}
		if got := rows[0]; got["note"] != test.note || got["updated_by"] != "bob" || got["created_by"] != "root" ||
			got["version"] != int64(1) || got["created_at"] != "2020-01-01 00:00:00" || got["updated_at"] == "2020-01-01 00:00:00" {
			t.Errorf("%v: stored %v", test.fields, got)
		}
		if text := clearText(t, rows[0]); text != "one" {
			t.Errorf("%v: the stored text is %q", test.fields, text)
		}
	}
}

func Test27SecretIsRequired(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	required := signing.Message{Text: "Secret is required", Type: signing.Error}
	for _, fields := range []url.Values{
		{"secret": {""}, "note": {"a note"}},
		{"secret": {" \t\r\n\u00a0\u2003\x1c\x1d\x1e\x1f"}},
		{"note": {"a note"}},
		{},
	} {
		r := post(t, host, fields, root())
		wantRedirect(t, r, "/-/secrets/EXAMPLE_SECRET")
		wantMessages(t, r, required)
	}
	multipart := "--x\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\nhunter2\r\n--x--\r\n"
	r := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Actor: root(), Body: multipart, Header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}})
	wantMessages(t, r, required)
	if rows := stored(t, file, "EXAMPLE_SECRET"); len(rows) != 0 {
		t.Errorf("stored %v", rows)
	}
}

func Test28NoteAndWhiteSpace(t *testing.T) {
	t.Parallel()
	host, file := startWithFile(t)
	tooLong := signing.Message{Text: "Note is too long", Type: signing.Error}
	for _, test := range []struct{ secret, note string }{
		{"x", strings.Repeat("n", 101)}, {"x", strings.Repeat("😀", 101)}, {"x", strings.Repeat(" ", 101)},
		{"", strings.Repeat("n", 101)}, // before it is found that there is no secret
	} {
		r := host.SetSecret(t, "EXAMPLE_SECRET", test.secret, test.note, root())
		wantRedirect(t, r, "/-/secrets/EXAMPLE_SECRET")
		wantMessages(t, r, tooLong)
	}
	if rows := stored(t, file, "EXAMPLE_SECRET"); len(rows) != 0 {
		t.Fatalf("stored %v", rows)
	}
	for _, test := range []struct{ secret, want, note string }{
		{"x", "x", strings.Repeat("😀", 100)},
		{"x", "x", " spaces are kept "},
		{" \t\x1c\x1d\x1e\x1f\u00a0\u2003\u0085\u3000x\x1f \r\n", "x", ""},
		{"-----BEGIN-----\r\nMII\r\n-----END-----\r\n", "-----BEGIN-----\r\nMII\r\n-----END-----", ""},
		{"\u200bx\ufeff", "\u200bx\ufeff", ""},
		{"päss wörd", "päss wörd", ""},
	} {
		wantRedirect(t, host.SetSecret(t, "EXAMPLE_SECRET", test.secret, test.note, root()), "/-/secrets")
		rows := stored(t, file, "EXAMPLE_SECRET")
		newest := rows[len(rows)-1]
		if text := clearText(t, newest); text != test.want || newest["note"] != test.note {
			t.Errorf("%q: stored %q with the note %q", test.secret, text, newest["note"])
		}
	}
	kept := url.Values{"secret": {" x\r\n"}, "keep_whitespace": {"1"}}
	post(t, host, kept, root())
	rows := stored(t, file, "EXAMPLE_SECRET")
	if text := clearText(t, rows[len(rows)-1]); text != " x\r\n" {
		t.Errorf("with the box ticked: stored %q", text)
	}
}

func Test29SecretPage(t *testing.T) {
	t.Parallel()
	host, _ := startWithFile(t)
	required := regexp.MustCompile(`<textarea[^>]*\srequired[\s>]`)
	add := host.Get(t, "/-/secrets/EXAMPLE_SECRET", root())
	wantStatus(t, add, http.StatusOK)
	wantText(t, add, "<title>Add secret: EXAMPLE_SECRET</title>", "<h1>Add secret: EXAMPLE_SECRET</h1>", "An example secret",
		`action="/-/secrets/EXAMPLE_SECRET" method="post"`, `name="secret" id="secret"`, `placeholder="Enter the secret here"`,
		`name="note" id="note" maxlength="100" value=""`, `placeholder="Optional note"`, `<input type="submit" value="Add secret">`,
		`<a href="/">home</a> / <a href="/-/secrets">secrets</a>`)
	if !required.MatchString(add.Text) {
		t.Error("the secret is not required when adding")
	}
	const value = "correct-horse-battery-staple"
	for _, secret := range []string{value + "-1", value + "-2"} {
		host.SetSecret(t, "EXAMPLE_SECRET", secret, `"><b>&'`, root())
	}
	update := host.Get(t, "/-/secrets/EXAMPLE_SECRET", root())
	wantText(t, update, "<title>Update secret: EXAMPLE_SECRET</title>", "<h1>Update secret: EXAMPLE_SECRET</h1>",
		`placeholder="Leave this blank to leave the stored secret unchanged"`, `value="&#34;&gt;&lt;b&gt;&amp;&#39;"`, `placeholder="Add a note to the secret"`)
	if required.MatchString(update.Text) {
		t.Error("the secret is required when updating")
	}
	for _, path := range []string{
		"/", "/-/secrets", "/-/secrets/EXAMPLE_SECRET", "/-/secrets/EXAMPLE_SECRET/-/delete",
		"/-/secrets/EXAMPLE_SECRET/-/restore?version=1", "/-/plugins", "/-/config", "/-/config.json",
	} {
		r := host.Get(t, path, root())
		wantStatus(t, r, http.StatusOK)
		wantNoText(t, r, value)
	}
	if strings.Contains(host.Stderr.String(), value) {
		t.Error("the value is in the log")
	}
}

func Test30UndeclaredNames(t *testing.T) {
	t.Parallel()
	strict, file := startWithFile(t)
	for _, r := range []harness.Response{
		strict.Get(t, "/-/secrets/EXAMPEL_SECRET", root()),
		strict.SetSecret(t, "EXAMPEL_SECRET", "hunter2", "", root()),
	} {
		wantStatus(t, r, http.StatusNotFound)
		wantText(t, r, "EXAMPLE_SECRET") // the nearest declared name
		wantNoText(t, r, "hunter2")
	}
	wantStatus(t, strict.Get(t, "/-/secrets/SOMETHING_ELSE_ALTOGETHER", root()), http.StatusNotFound)
	if rows := query(t, file, "select * from datasette_secrets"); len(rows) != 0 {
		t.Errorf("stored %v", rows)
	}
	// What is there already stays editable.
	addRow(t, file, "UPSTREAM")
	wantText(t, strict.Get(t, "/-/secrets", root()), `href="/-/secrets/UPSTREAM"`)
	wantText(t, strict.Get(t, "/-/secrets/UPSTREAM", root()), "<h1>Update secret: UPSTREAM</h1>")
	wantRedirect(t, strict.SetSecret(t, "UPSTREAM", "new", "", root()), "/-/secrets")
	if rows := stored(t, file, "UPSTREAM"); len(rows) != 2 || clearText(t, rows[1]) != "new" {
		t.Errorf("stored %v", rows)
	}
}

func Test30UndeclaredNamesWhereAllowed(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "DECLARED")
	host, file := startWithFile(t, append(probe.Args, "-s", "plugins.datasette-secrets.allow-undeclared", "true")...)
	page := host.Get(t, "/-/secrets/ANYTHING.else-1", root())
	wantStatus(t, page, http.StatusOK)
	wantText(t, page, "<h1>Add secret: ANYTHING.else-1</h1>")
	wantRedirect(t, host.SetSecret(t, "ANYTHING.else-1", "hunter2", "", root()), "/-/secrets")
	cells(t, host.Get(t, "/-/secrets", root()), "ANYTHING.else-1")
	if rows := stored(t, file, "ANYTHING.else-1"); len(rows) != 1 {
		t.Errorf("stored %v", rows)
	}
	for _, name := range []string{"ANYTHING.else-1", "NOT_THERE_AT_ALL"} {
		wantDenied(t, probe, name)
	}
}
