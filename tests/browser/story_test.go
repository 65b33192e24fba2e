package browser_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// first and second are the values that the story stores. No page may ever hold
// them.
const (
	first  = "hunter2-of-the-story"
	second = "correct horse battery staple"
)

// startDemo starts the host as "make demo" does.
func startDemo(t *testing.T) *harness.Process {
	t.Helper()
	return harness.Start(t, harness.Options{Args: []string{
		"--root",
		"--internal", filepath.Join(t.TempDir(), "internal.db"),
		"--plugins-dir", harness.PluginDir(t, "demo", "plugins/demo"),
	}})
}

func TestStoryWithAMouse(t *testing.T) {
	t.Parallel()
	tell(open(t, startDemo(t)), mouse{})
}

func TestStoryWithAKeyboard(t *testing.T) {
	t.Parallel()
	tell(open(t, startDemo(t)), keyboard{})
}

func TestStoryWithAKeyboardInTheDark(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.look(phone, dark)
	tell(b, keyboard{})
}

func TestStoryWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b := open(t, startDemo(t))
	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	tell(b, mouse{})
}

// tell is the story of an administrator: from the printed address to set,
// update, note, delete and restore, and out again.
func tell(b *tab, h hands) {
	b.t.Helper()
	signInAsRoot(b, h)
	set(b, h)
	update(b, h)
	note(b, h)
	remove(b, h)
	restore(b, h)
	logOut(b, h)
}

func signInAsRoot(b *tab, h hands) {
	b.t.Helper()
	b.is(b.follow(chromedp.Navigate(b.host.SignIn)).Status, http.StatusOK)
	b.shows("root", "demo", "ready")
	h.press(b, "Open the list")
	b.shows("The following secrets have not been set", "DEMO_API_KEY", "DEMO_PASSWORD", "Get a demo API key")
}

func set(b *tab, h hands) {
	b.t.Helper()
	h.press(b, "DEMO_API_KEY")
	b.shows("Add secret: DEMO_API_KEY", "Not set", "The demo plugin reads this key once a minute")
	h.enter(b, "Secret", first)
	h.enter(b, "Note (optional)", "for the demo")
	h.press(b, "Add secret")
	b.arrived("/-/secrets", "Secret DEMO_API_KEY updated", "for the demo", "The following secret has not been set")
}

func update(b *tab, h hands) {
	b.t.Helper()
	h.press(b, "DEMO_API_KEY")
	b.shows("Update secret: DEMO_API_KEY", "version 1", "by root")
	h.enter(b, "Secret", "  "+second+"  ")
	h.tick(b, "Keep surrounding white space")
	h.press(b, "Update secret")
	b.arrived("/-/secrets", "Secret DEMO_API_KEY updated")
}

func note(b *tab, h hands) {
	b.t.Helper()
	h.press(b, "DEMO_API_KEY")
	b.shows("version 2")
	h.enter(b, "Note (optional)", "rotated")
	h.press(b, "Update secret")
	b.arrived("/-/secrets", "Note updated: DEMO_API_KEY", "rotated")
	h.press(b, "DEMO_API_KEY")
	b.shows("version 2", "History", "Current", "Restore version 1…")
}

func remove(b *tab, h hands) {
	b.t.Helper()
	h.press(b, "Delete…")
	b.shows("Delete secret: DEMO_API_KEY", "Deleting may break this plugin")
	h.press(b, "Keep it")
	b.shows("Update secret: DEMO_API_KEY", "version 2")
	h.press(b, "Delete…")
	h.press(b, "Delete secret")
	b.arrived("/-/secrets", "Secret DEMO_API_KEY deleted", "The following secrets have not been set", "Deleted by root")
}

func restore(b *tab, h hands) {
	b.t.Helper()
	h.press(b, "DEMO_API_KEY")
	b.shows("Add secret: DEMO_API_KEY", "Deleted", "Restore version 2…")
	h.press(b, "Restore version 1…")
	b.shows("Version 1 of DEMO_API_KEY becomes the current value again")
	h.press(b, "Restore version 1")
	b.arrived("/-/secrets/DEMO_API_KEY", "version 1 is now version 4", "Update secret: DEMO_API_KEY")
}

func logOut(b *tab, h hands) {
	b.t.Helper()
	h.unfold(b, "Menu")
	h.press(b, "Log out")
	b.arrived("/", "You are now logged out", "Sign in to manage secrets")
	b.is(b.visit("/-/secrets").Status, http.StatusForbidden)
	b.shows("Permission denied", "You are not signed in")
	h.press(b, "How to sign in")
	b.shows("As root, with the printed address")
	b.is(b.follow(chromedp.Navigate(b.host.SignIn)).Status, http.StatusForbidden)
	b.shows("Root token has already been used")
}

func (b *tab) is(got, want int64) {
	b.t.Helper()
	if got != want {
		b.t.Fatalf("status %d, want %d\n%s", got, want, b.where())
	}
}

// arrived checks that the page is at a path, says some things, and holds no
// value of the story.
func (b *tab) arrived(path string, texts ...string) {
	b.t.Helper()
	if at := eval[string](b, "location.pathname"); at != path {
		b.t.Fatalf("the page is %s, want %s\n%s", at, path, b.where())
	}
	b.shows(texts...)
	b.holdsNothing(first, second)
}

// holdsNothing checks that values are nowhere in the page: not in its source,
// not in its fields and not in its address.
func (b *tab) holdsNothing(values ...string) {
	b.t.Helper()
	all := eval[string](b, `document.documentElement.outerHTML + location.href +
		[...document.querySelectorAll("input, textarea")].map((e) => e.value).join()`)
	for _, value := range values {
		if strings.Contains(all, value) {
			b.t.Errorf("the page holds %q\n%s", value, b.where())
		}
	}
}
