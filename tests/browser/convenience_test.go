package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What the one script adds to pages that work without it.
func TestConveniences(t *testing.T) {
	t.Parallel()
	host := startBusy(t)
	const shown = `[...document.querySelectorAll("main strong a")].filter((a) => a.checkVisibility()).map((a) => a.textContent).join()`
	t.Run("filter while typing", func(t *testing.T) {
		t.Parallel()
		b := open(t, host)
		b.signIn(root())
		b.visit("/-/secrets")
		all := eval[string](b, shown)
		keyboard{}.enter(b, "Filter 11 secrets", "invoices")
		if got := eval[string](b, shown); got != "STRIPE_SECRET_KEY,S3_ACCESS_KEY,SMTP_PASSWORD" {
			t.Errorf("the filter shows %s", got)
		}
		b.shows("3 of 11 match")
		b.do(chromedp.KeyEvent(kb.Enter), selectAll(), chromedp.KeyEvent(kb.Backspace))
		if got := eval[string](b, shown); got != all || eval[string](b, "location.search") != "" {
			t.Errorf("the emptied filter shows %s", got)
		}
	})
	t.Run("menu", func(t *testing.T) {
		t.Parallel()
		b := open(t, host)
		b.signIn(root())
		b.visit("/-/secrets")
		const open = `document.querySelector("details.nav-menu").open`
		keyboard{}.unfold(b, "Menu")
		b.tabTo("Plugins")
		b.do(chromedp.KeyEvent(kb.Escape))
		if eval[bool](b, open) || eval[focus](b, focused).Name != "Menu" {
			t.Error("Escape does not close the menu and go back to its button")
		}
		mouse{}.unfold(b, "Menu")
		if !eval[bool](b, open) {
			t.Error("a click does not open the menu")
		}
		b.do(chromedp.Click("//h1"))
		if eval[bool](b, open) {
			t.Error("a click elsewhere does not close the menu")
		}
	})
	t.Run("skip link", func(t *testing.T) {
		t.Parallel()
		b := open(t, host)
		b.signIn(root())
		b.visit("/-/secrets")
		b.tabTo("Skip to content")
		b.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
		if at := eval[focus](b, focused).Name; at != "Filter 11 secrets" {
			t.Errorf("after the skip link comes %q", at)
		}
	})
}
