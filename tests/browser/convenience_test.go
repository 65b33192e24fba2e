package browser_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
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

// A form that comes back with an error is as it was filled in: who sends it
// again must not get a token that may do more.
func TestTokenFormKeepsWhatWasFilledIn(t *testing.T) {
	t.Parallel()
	b := open(t, startKeeper(t))
	b.signIn(root())
	b.visit("/-/create-token")
	h := mouse{}
	h.unfold(b, "Restrict actions that can be performed using this token")
	h.tick(b, "view-instance View Datasette instance")
	h.enter(b, "How many (X)", "many")
	eval[bool](b, `document.querySelector("#expire_type").value = "hours", true`)
	h.press(b, "Create token")
	b.shows("Invalid expire duration", "The token may only")
	h.enter(b, "How many (X)", "2")
	h.press(b, "Create token")
	b.shows("Your API token")
	h.unfold(b, "Token details")
	b.shows(`"d": 7200`, `"vi"`)
}

// On a phone rows look like cards. To a screen reader they are still rows of a
// table, with every cell in its column.
func TestCardsAreRows(t *testing.T) {
	t.Parallel()
	b := open(t, startBusy(t))
	b.signIn(root())
	b.look(phone, light)
	for _, page := range []struct {
		path            string
		tables, columns int // of six columns each, but for programs
		programs        int // rows of the table of programs, of three columns
	}{
		{"/-/secrets", 1, 6, 0},
		{"/-/secrets/STRIPE_SECRET_KEY", 3, 6 + 6 + 3, 2}, // history, log and programs
	} {
		b.visit(page.path)
		roles := b.roles()
		rows := roles["row"] - page.tables // of their heads
		cells := 5*(rows-page.programs) + 2*page.programs
		if rows < 3 || roles["table"] != page.tables || roles["columnheader"] != page.columns || roles["rowheader"] != rows || roles["cell"] != cells {
			t.Errorf("%s: a screen reader finds %v", page.path, roles)
		}
	}
}

// roles counts what a screen reader finds in the page.
func (b *tab) roles() map[string]int {
	b.t.Helper()
	roles := map[string]int{}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		tree, err := cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		for _, node := range tree.Nodes {
			var role string
			if node.Role != nil && !node.Ignored && json.Unmarshal([]byte(node.Role.Value), &role) == nil {
				roles[strings.ToLower(role)]++
			}
		}
		return err
	}))
	return roles
}
