package browser_test

import (
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hands are a way to use a page: with a mouse, or with the keyboard alone.
// Both find things by what they are called, as people do.
type hands interface {
	// press uses the link or button of this name, which leads to another page.
	press(b *tab, name string) *network.Response
	// unfold opens what is folded under this name.
	unfold(b *tab, name string)
	// enter types text into the field of this name, instead of what is there.
	enter(b *tab, name, text string)
	// tick ticks the box of this name.
	tick(b *tab, name string)
}

type mouse struct{}

func (mouse) press(b *tab, name string) *network.Response {
	b.t.Helper()
	return b.follow(chromedp.Click(target(name)))
}

func (mouse) unfold(b *tab, name string) {
	b.t.Helper()
	b.do(chromedp.Click(target(name)))
}

func (mouse) enter(b *tab, name, text string) {
	b.t.Helper()
	b.do(chromedp.Click(field(name)), selectAll(), chromedp.KeyEvent(text))
}

func (mouse) tick(b *tab, name string) {
	b.t.Helper()
	b.do(chromedp.Click(field(name)))
}

// target is the XPath of a link, button or summary.
func target(name string) string {
	return fmt.Sprintf("//*[self::a or self::button or self::summary][normalize-space()=%q] | //input[@type='submit'][@value=%q]", name, name)
}

// field is the XPath of the field that a label names.
func field(name string) string {
	return fmt.Sprintf("//*[@id=//label[normalize-space()=%q]/@for]", name)
}

// selectAll selects what a field holds, as CTRL+A does.
func selectAll() chromedp.Action[chromedp.Void] {
	return call(input.DispatchKeyEvent, input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeKeyDown, Key: "a", Code: "KeyA", Modifiers: 2, Commands: []string{"selectAll"},
	})
}

type keyboard struct{}

func (keyboard) press(b *tab, name string) *network.Response {
	b.t.Helper()
	b.tabTo(name)
	return b.follow(chromedp.KeyEvent(kb.Enter))
}

func (keyboard) unfold(b *tab, name string) {
	b.t.Helper()
	b.tabTo(name)
	b.do(chromedp.KeyEvent(kb.Enter))
}

func (keyboard) enter(b *tab, name, text string) {
	b.t.Helper()
	b.tabTo(name)
	b.do(selectAll(), chromedp.KeyEvent(text))
}

func (keyboard) tick(b *tab, name string) {
	b.t.Helper()
	b.tabTo(name)
	b.do(chromedp.KeyEvent(" "))
}

// focus is what a keyboard user knows about where they are.
type focus struct {
	Name  string
	Wrong string // why they would not see it
}

// tabTo presses the Tab key until what has the focus is called name. On the
// way it must always be seen what has it.
func (b *tab) tabTo(name string) {
	b.t.Helper()
	var passed []string
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at := eval[focus](b, focused)
		if at.Wrong != "" {
			b.t.Errorf("the focus on %q is not visible: %s\n%s", at.Name, at.Wrong, b.where())
		}
		if at.Name == name {
			return
		}
		passed = append(passed, at.Name)
	}
	b.t.Fatalf("the Tab key does not lead to %q, but to %q\n%s", name, passed, b.where())
}

// focused describes the element with the focus: its name, and why its focus
// cannot be seen. An outline must be two pixels wide and stand out from what
// is behind it with a contrast of 3:1 (WCAG 1.4.11, 2.4.7), and nothing may
// cover the element (2.4.11).
var focused = strings.TrimSpace(`
(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return {Name: "", Wrong: ""};
	const name = e.labels?.length ? e.labels[0].textContent : e.matches("input[type=submit]") ? e.value : e.textContent;
	const numbers = (color) => color.match(/[\d.]+/g).map(Number);
	const luminance = (color) => {
		const [r, g, b] = numbers(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
		return (high + 0.05) / (low + 0.05);
	};
	const behind = (element) => {
		for (let at = element; at; at = at.parentElement) {
			const style = getComputedStyle(at);
			const gradient = style.backgroundImage.match(/rgb\([^)]+\)/g);
			if (gradient) return gradient;
			if ((numbers(style.backgroundColor)[3] ?? 1) === 1) return [style.backgroundColor];
		}
		return ["rgb(255, 255, 255)"];
	};
	const style = getComputedStyle(e), box = e.getBoundingClientRect(), wrong = [];
	if (!e.matches(":focus-visible")) wrong.push("not :focus-visible");
	if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push("outline " + style.outline);
	const around = parseFloat(style.outlineOffset) < 0 ? e : e.parentElement;
	for (const color of behind(around)) {
		const ratio = contrast(style.outlineColor, color);
		if (ratio < 3) wrong.push("contrast " + ratio.toFixed(2) + " of " + style.outlineColor + " on " + color);
	}
	if (box.width === 0 || box.top < 0 || box.left < 0 || box.top >= innerHeight || box.left >= innerWidth) wrong.push("out of sight");
	const rect = [...e.getClientRects()][0] ?? box;
	const top = document.elementFromPoint(rect.left + rect.width / 2, Math.min(rect.top + rect.height / 2, innerHeight - 1));
	if (top !== e && !e.contains(top) && !top?.contains(e)) wrong.push("covered by " + top?.outerHTML.slice(0, 80));
	return {Name: name.trim(), Wrong: wrong.join(", ")};
})()`)
