package ui_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

func TestSettingASecretTwiceMakesTwoVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	form := w.get("/-/secrets/ONE", w.as("root"))
	form.want(t, 200, "<title>Add secret: ONE</title>", "<h1>Add secret: ONE</h1>", `action="/-/secrets/ONE" method="post"`,
		" required", `placeholder="Enter the secret here"`, `maxlength="100"`, `value="Add secret"`,
		`<a href="/">home</a> / <a href="/-/secrets">secrets</a>`, "The first", `<a href="/-/plugins">demo</a>`)
	a := w.post("/-/secrets/ONE", w.as("root"), "secret", "hunter2", "note", "<first>")
	a.wantRedirect(t, "/-/secrets")
	if got := w.flash(a); !slices.Equal(got, []signing.Message{{Text: "Secret ONE updated", Type: 1}}) {
		t.Errorf("flash: %v", got)
	}
	if value, _ := a.cookie("ds_messages"); value == "" || value != mustSign(t, w, "Secret ONE updated", 1) {
		t.Errorf("ds_messages=%s", value)
	}
	w.post("/-/secrets/ONE", w.as("7"), "secret", "correct horse", "csrftoken", "ignored").wantRedirect(t, "/-/secrets")
	if got := w.value("ONE"); got != "correct horse" {
		t.Errorf("ONE is %q", got)
	}
	page := w.get("/-/secrets/ONE", w.as("root"))
	page.want(t, 200, "<h1>Update secret: ONE</h1>", `placeholder="Leave this blank to leave the stored secret unchanged"`,
		`value="Update secret"`, `href="/-/secrets/ONE/-/delete"`, `href="/-/secrets/ONE/-/restore?version=1"`, "&lt;first&gt;", "by 7", "by root")
	page.lacks(t, "hunter2", "correct horse", " required", "version=2\"")
	if strings.Contains(w.log.String(), "hunter2") {
		t.Error("the log holds the value")
	}
}

// What somebody changed in the file is shown as damaged, with the way out.
func TestDamageIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.post("/-/secrets/ONE", w.as("root"), "secret", "hunter2").wantRedirect(t, "/-/secrets")
	w.insert(db.Row{Name: "ONE", CreatedBy: "<b>"}) // of no program, for it opens with no key
	page := w.get("/-/secrets/ONE", w.as("root"))
	page.want(t, 200, "What is stored cannot be trusted, and no plugin gets it.", "Damaged", `href="/-/secrets/ONE/-/restore?version=1"`)
	w.post("/-/secrets/ONE", w.as("root"), "secret", "correct horse").wantRedirect(t, "/-/secrets")
	page = w.get("/-/secrets/ONE", w.as("root"))
	page.want(t, 200, "Damaged") // version 2 still is
	page.lacks(t, "What is stored cannot be trusted", "restore?version=2")
}

func mustSign(t *testing.T, w *world, text string, kind int) string {
	t.Helper()
	signed, err := w.signer.SignMessages([]signing.Message{{Text: text, Type: kind}})
	ok(t, err)
	return signed
}

func TestPostedFormsAndWhatTheyDo(t *testing.T) {
	t.Parallel()
	emoji := strings.Repeat("😀", 100)
	for _, c := range []struct {
		name, stored, note string // before; no stored: not set
		body               string
		location           string
		flash              []signing.Message
		value, newNote     string // after
	}{
		{"long note is checked first", "", "", "secret=&note=" + strings.Repeat("x", 101), "/-/secrets/ONE", []signing.Message{{Text: "Note is too long", Type: 3}}, "", ""},
		{"blank and not set", "", "", "secret=+%0D%0A&note=n", "/-/secrets/ONE", []signing.Message{{Text: "Secret is required", Type: 3}}, "", ""},
		{"no field at all", "", "", "", "/-/secrets/ONE", []signing.Message{{Text: "Secret is required", Type: 3}}, "", ""},
		{"JSON is no form", "", "", `{"secret": "x"}`, "/-/secrets/ONE", []signing.Message{{Text: "Secret is required", Type: 3}}, "", ""},
		{"hundred emoji are a hundred characters", "", "", "secret=v&note=" + emoji, "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "v", emoji},
		{"blank changes the note", "old", "before", "secret=+&note=after", "/-/secrets", []signing.Message{{Text: "Note updated: ONE", Type: 1}}, "old", "after"},
		{"same note is silent", "old", "before", "secret=&note=before", "/-/secrets", nil, "old", "before"},
		{"clearing a note is silent", "old", "before", "secret=&note=", "/-/secrets", nil, "old", ""},
		{"omitting the note clears it", "old", "before", "secret=", "/-/secrets", nil, "old", ""},
		{"note is not inherited", "old", "before", "secret=new", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "new", ""},
		{"stripped as Python does, note is not", "", "", "secret=%1C%1F%C2%A0a%0D%0Ab%E3%80%80%1D&note=+n+", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "a\r\nb", " n "},
		{"not stripped of what Python keeps", "", "", "secret=%E2%80%8Bv%EF%BB%BF", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "\u200bv\ufeff", ""},
		{"keeping white space", "", "", "secret=+v%0D%0A&keep_whitespace=1", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, " v\r\n", ""},
		{"last of duplicates wins", "", "", "secret=a&secret=b&note=x&note=y", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "b", "y"},
		{"invalid escapes are text", "", "", "secret=100%&note=%zz", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "100%", "%zz"},
		{"escaped bytes that are not UTF-8", "", "", "secret=a%FFb", "/-/secrets", []signing.Message{{Text: "Secret ONE updated", Type: 1}}, "a\ufffdb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, demo)
			if c.stored != "" {
				w.set("ONE", c.stored, c.note)
			}
			a := w.do("POST", "/-/secrets/ONE", c.body, w.as("admin"), header("Content-Type", "multipart/form-data; boundary=x"))
			a.wantRedirect(t, c.location)
			if got := w.flash(a); !slices.Equal(got, c.flash) {
				t.Errorf("flash: %v", got)
			}
			got := w.value("ONE")
			if c.value == "" {
				if !strings.HasPrefix(got, "error: ") {
					t.Errorf("a refused form stored %q", got)
				}
				return
			}
			if got != c.value {
				t.Errorf("stored %q, want %q", got, c.value)
			}
			v, _, err := w.vault.Show(t.Context(), secrets.Caller{Actor: secrets.NewActor("root")}, "ONE")
			ok(t, err)
			if v.Note != c.newNote {
				t.Errorf("note is %q, want %q", v.Note, c.newNote)
			}
		})
	}
}

func TestRefusedChangesStoreNothingAndSayNothingOfTheValue(t *testing.T) {
	t.Parallel()
	const typed = "typed-in-by-hand"
	anybody := func(o *options) { demo(o); o.permissions = map[string]any{"manage-secrets": true} }
	for _, c := range []struct {
		name   string
		world  func(*options)
		path   string
		body   string
		actor  string
		status int
		text   string
	}{
		{"nobody", demo, "/-/secrets/ONE", "secret=" + typed, "", 403, "Permission denied"},
		{"somebody else", demo, "/-/secrets/ONE", "secret=" + typed, "bob", 403, "Permission denied"},
		{"anybody may, but must be signed in", anybody, "/-/secrets/ONE", "secret=" + typed, "", 403, "You must be signed in to change a secret"},
		{"an undeclared name", demo, "/-/secrets/ONEE", "secret=" + typed, "root", 404, "did you mean ONE?"},
		{"a body that is not UTF-8", demo, "/-/secrets/ONE", "secret=" + typed + "\xff", "root", 400, "not valid UTF-8"},
		{"too long a body", func(o *options) { demo(o); o.sets = [][2]string{{"max_post_body_bytes", "10"}} }, "/-/secrets/ONE", "secret=" + typed, "root", 413, "Request body exceeded maximum size of 10 bytes"},
		{"too long a note", demo, "/-/secrets/ONE", "secret=" + typed + "&note=" + strings.Repeat("x", 101), "root", 302, ""},
		{"too long a value", func(o *options) { demo(o); o.sets = [][2]string{{"max_post_body_bytes", "0"}} }, "/-/secrets/ONE", "secret=" + typed + strings.Repeat("x", 1<<20), "root", 400, "at most 1048576 are allowed"},
		{"not configured", func(o *options) { demo(o); o.unconfigured = true }, "/-/secrets/ONE", "secret=" + typed, "root", 400, "has not been configured"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.world)
			as := func(*http.Request) {}
			if c.actor != "" {
				as = w.as(c.actor)
			}
			a := w.do("POST", c.path, c.body, as)
			a.want(t, c.status, c.text)
			if got := w.value("ONE"); !strings.HasPrefix(got, "error: ") {
				t.Errorf("stored %q", got)
			}
			a.lacks(t, typed)
			for name, lines := range a.Header {
				if strings.Contains(strings.Join(lines, ""), typed) {
					t.Errorf("the value is in %s", name)
				}
			}
			if strings.Contains(w.log.String(), typed) {
				t.Error("the value is in the log")
			}
		})
	}
}

func TestBodyLimitHoldsWithoutContentLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) { o.sets = [][2]string{{"max_post_body_bytes", "20"}} })
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	w.do("POST", "/-/secrets/ONE", "secret="+strings.Repeat("x", 100), w.as("root"), chunked).want(t, 413, "<h1>Error 413</h1>")
	w.do("POST", "/-/secrets/ONE", "secret=0123456789abc", w.as("root"), chunked).wantRedirect(t, "/-/secrets")
}

func TestDeleteAskedAndDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.get("/-/secrets/ONE/-/delete", w.as("root")).want(t, 404, "ONE has no stored value")
	w.post("/-/secrets/ONE/-/delete", w.as("root")).want(t, 404)
	w.set("ONE", "hunter2", "")
	w.get("/-/secrets/ONE/-/delete", w.as("root")).want(t, 200, "<h1>Delete secret: ONE</h1>", `action="/-/secrets/ONE/-/delete" method="post"`, "Deleting may break this plugin", `value="Delete secret"`)
	if got := w.value("ONE"); got != "hunter2" {
		t.Fatal("asking has deleted")
	}
	a := w.post("/-/secrets/ONE/-/delete", w.as("root"))
	a.wantRedirect(t, "/-/secrets")
	if got := w.flash(a); !slices.Equal(got, []signing.Message{{Text: "Secret ONE deleted", Type: 1}}) {
		t.Errorf("flash: %v", got)
	}
	w.get("/-/secrets/ONE", w.as("root")).want(t, 200, "<h1>Add secret: ONE</h1>", "Deleted</span>", " required", "restore?version=1")
	w.post("/-/secrets/ONE", w.as("root"), "note", "only a note").wantRedirect(t, "/-/secrets/ONE")
}

func TestRestoreAskedAndDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "first", "the old note")
	w.set("ONE", "second", "")
	w.post("/-/secrets/ONE/-/delete", w.as("root"))
	w.get("/-/secrets/ONE/-/restore?version=1", w.as("root")).want(t, 200, "<h1>Restore secret: ONE</h1>", "the old note", `name="version" value="1"`)
	a := w.post("/-/secrets/ONE/-/restore", w.as("root"), "version", "1")
	a.wantRedirect(t, "/-/secrets/ONE")
	if got := w.flash(a); !slices.Equal(got, []signing.Message{{Text: "Secret ONE restored: version 1 is now version 4", Type: 1}}) {
		t.Errorf("flash: %v", got)
	}
	if got := w.value("ONE"); got != "first" {
		t.Errorf("ONE is %q", got)
	}
	for _, c := range []struct {
		version string
		status  int
		text    string
	}{
		{"", 400, "Say which version"}, {"x", 400, "Say which version"}, {"-1", 400, "Say which version"},
		{"99", 404, "version 99"}, {"3", 400, "deleted"}, {"4", 400, "current"},
	} {
		w.post("/-/secrets/ONE/-/restore", w.as("root"), "version", c.version).want(t, c.status, c.text)
		if b := w.get("/-/secrets/ONE/-/restore?version="+c.version, w.as("root")); b.StatusCode != 400 && b.StatusCode != 404 {
			t.Errorf("asking for version %q is %d", c.version, b.StatusCode)
		}
	}
	w.post("/-/secrets/ONE/-/restore", w.as("bob"), "version", "1").want(t, 403)
	w.post("/-/secrets/ONE/-/restore", nil, "version", "1").want(t, 403)
}

func TestNamesAreRawPathSegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.allowUndeclared = true })
	stored := []string{`foo%20bar`, `foo%2Fbar`, `%E2%82%AC`, `foo~2Ebar`, `a|b`, `x%3Cscript%3E`, `X.json`}
	for _, name := range stored {
		w.insert(db.Row{Name: name})
	}
	list := w.get("/-/secrets", w.as("root"))
	for _, name := range stored {
		list.want(t, 200, `href="/-/secrets/`+name+`">`+name+`</a>`)
		w.get("/-/secrets/"+name, w.as("root")).want(t, 200, "<h1>Update secret: "+name+"</h1>", `action="/-/secrets/`+name+`"`)
		w.post("/-/secrets/"+name, w.as("root"), "secret", "new").wantRedirect(t, "/-/secrets")
		w.get("/-/secrets/"+name+"/-/delete", w.as("root")).want(t, 200)
	}
	w.get("/-/secrets/foo%20baz", w.as("root")).want(t, 400, "1 to 255")
}
