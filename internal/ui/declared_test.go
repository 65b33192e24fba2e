package ui_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// formal declares secrets whose values have a form.
func formal(o *options) {
	o.declare = []secrets.Declaration{
		{Name: "TOKEN", Pattern: "sk-[a-z0-9<&>]{32}", Example: `sk-<b>&"…`, Redact: secrets.Redact{Prefix: 3, Suffix: 4}},
		{Name: "PEM", Multiline: true, Example: "-----BEGIN\n…"},
		{Name: "PEM_CHECKED", Multiline: true, Pattern: "(?s)-----BEGIN.*"},
		{Name: "PLAIN"},
	}
}

func TestDeclaredFormsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, formal)
	page := w.get("/-/secrets/TOKEN", w.as("root"))
	page.want(t, 200, `<input type="password" name="secret" id="secret" required`, `autocomplete="new-password"`,
		`sk-&lt;b&gt;&amp;&#34;…`, `sk-[a-z0-9&lt;&amp;&gt;]{32}`, `aria-describedby="secret-form secret-help"`)
	page.lacks(t, "<textarea", "<b>", " pattern=", "Stored value", " checked")
	page = w.get("/-/secrets/PEM", w.as("root"))
	page.want(t, 200, `<textarea name="secret" id="secret" rows="12" required`, "-----BEGIN\n…", `value="1" checked>`)
	page.lacks(t, `type="password"`, "It has to match")
	page = w.get("/-/secrets/PEM_CHECKED", w.as("root"))
	page.want(t, 200, `<textarea name="secret"`, "It has to match", `aria-describedby="secret-form secret-help"`)
	page = w.get("/-/secrets/PLAIN", w.as("root"))
	page.want(t, 200, `<textarea name="secret" id="secret" rows="4"`, `aria-describedby="secret-help"`)
	page.lacks(t, "Example", "It has to match", " checked")
}

const formalToken = "sk-0123456789abcdef0123456789abwxyz"

// A value of another form is refused in words that hold nothing of it, on a form
// that is empty again.
func TestValuesOfAnotherFormAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, formal)
	for _, value := range []string{"hunter2", formalToken + "x", "sk-" + strings.Repeat("0", 20_000)} {
		a := w.post("/-/secrets/TOKEN", w.as("root"), "secret", value)
		a.wantRedirect(t, "/-/secrets/TOKEN")
		flash := w.flash(a)
		if len(flash) != 1 || flash[0].Type != signing.Error || !strings.HasPrefix(flash[0].Text, "The secret does not have the form that it needs") || strings.Contains(flash[0].Text, value) {
			t.Errorf("flash: %v", flash)
		}
	}
	if got := w.value("TOKEN"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("stored %q", got)
	}
	if strings.Contains(w.log.String(), "hunter2") {
		t.Error("the log holds the value")
	}
	w.post("/-/secrets/TOKEN", w.as("root"), "secret", " "+formalToken+"\r\n").wantRedirect(t, "/-/secrets")
	if got := w.value("TOKEN"); got != formalToken {
		t.Errorf("stored %q", got)
	}
	w.set("PLAIN", "anything", "")
}

// The ends of a value are for those who manage secrets, on its own page.
func TestTheEndsOfAValueAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, formal)
	w.set("TOKEN", formalToken, "")
	w.set("PLAIN", formalToken, "")
	page := w.get("/-/secrets/TOKEN", w.as("root"))
	page.want(t, 200, "Stored value", "sk-…wxyz", "Only its ends are")
	page.lacks(t, formalToken, "sk-0", "bwxyz")
	for _, path := range []string{"/-/secrets", "/-/secrets/PLAIN", "/-/secrets/TOKEN/-/delete", "/-/plugins"} {
		w.get(path, w.as("root")).lacks(t, "wxyz")
	}
	for _, who := range []func(*http.Request){w.as("stranger"), nil} {
		var change []func(*http.Request)
		if who != nil {
			change = append(change, who)
		}
		w.get("/-/secrets/TOKEN", change...).lacks(t, "wxyz")
	}
	if strings.Contains(w.log.String(), "wxyz") {
		t.Error("the log holds the hint")
	}
	ok(t, w.vault.Delete(t.Context(), secrets.Caller{Actor: secrets.NewActor("root")}, "TOKEN"))
	w.get("/-/secrets/TOKEN", w.as("root")).lacks(t, "wxyz", "Stored value")
	w.set("TOKEN", formalToken, "")
	w.vault.Seal()
	w.get("/-/secrets/TOKEN", w.as("root")).lacks(t, "wxyz", "Stored value")
}

func TestLineEndsOfValuesWithLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body, want string
	}{
		{"PEM", "secret=a%0D%0Ab%0D%0A&keep_whitespace=1", "a\nb\n"},
		{"PEM", "secret=a%0Db%0A%0Dc", "a\nb\n\nc"},
		{"PEM", "secret=+a%0D%0Ab%0D%0A", "a\nb"},
		{"PLAIN", "secret=a%0D%0Ab%0D%0A&keep_whitespace=1", "a\r\nb\r\n"}, // as Python's Datasette
	} {
		w := newWorld(t, formal)
		w.do("POST", "/-/secrets/"+test.name, test.body, w.as("root")).wantRedirect(t, "/-/secrets")
		if got := w.value(test.name); got != test.want {
			t.Errorf("%s: stored %q, want %q", test.body, got, test.want)
		}
	}
	// An empty field with its ticked box changes the note only.
	w := newWorld(t, formal)
	w.set("PEM", "a\nb", "")
	a := w.do("POST", "/-/secrets/PEM", "secret=%0D%0A&keep_whitespace=1&note=n", w.as("root"))
	a.wantRedirect(t, "/-/secrets")
	if got := w.value("PEM"); got != "a\nb" || !slices.Equal(w.flash(a), []signing.Message{{Text: "Note updated: PEM", Type: 1}}) {
		t.Errorf("stored %q, flash %v", got, w.flash(a))
	}
}
