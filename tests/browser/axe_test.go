package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// What axe-core looks at: all that WCAG 2.2 AA has, also where it is off unless
// asked for, or the rules about colours.
const (
	everything = `runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
		rules: {"target-size": {enabled: true}}`
	colours = `runOnly: {type: "rule", values: ["color-contrast", "link-in-text-block"]}`
)

// runAxe lists what axe-core finds against a page.
func (b *tab) runAxe(lookAt string) []string {
	b.t.Helper()
	return eval[[]string](b, `(async () => {
	const result = await axe.run(document, {
		`+lookAt+`,
		resultTypes: ["violations"],
		preload: false,
	});
	return result.violations.flatMap((violation) => violation.nodes.map((node) =>
		violation.id + ": " + violation.help + "\n" + node.html.slice(0, 300) + "\n" + node.failureSummary));
})()`)
}

// loadAxe puts axe-core, as "make test-setup" installs it, into the page.
func (b *tab) loadAxe() {
	b.t.Helper()
	pattern := filepath.Join(harness.Root(), ".venv", "lib", "python3*", "site-packages", "axe_playwright_python", "axe.min.js")
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		b.t.Fatal("axe-core is not installed; run: make test-setup")
	}
	source, err := os.ReadFile(found[0])
	if err != nil {
		b.t.Fatal(err)
	}
	eval[bool](b, string(source)+"\n;true")
}

// accessible checks that axe-core, which is in the page, finds nothing: nothing
// at all, or nothing about colours.
func (b *tab) accessible(inFull bool) {
	b.t.Helper()
	lookAt := colours
	if inFull {
		lookAt = everything
	}
	for _, violation := range b.runAxe(lookAt) {
		b.t.Errorf("%s", violation)
	}
}

// The check itself is checked: a page with obstacles does not pass.
func TestAxeFindsObstacles(t *testing.T) {
	t.Parallel()
	b := open(t, startKeeper(t))
	b.signIn(root())
	b.visit("/-/secrets/EXAMPLE_SECRET")
	b.loadAxe()
	eval[bool](b, `document.querySelector("label[for=note]").remove(), document.querySelector("#note").placeholder = "",
		document.querySelector("h1").style.color = "silver", document.documentElement.lang = "", true`)
	found := strings.Join(b.runAxe(everything), "\n")
	for _, rule := range []string{"label: ", "color-contrast: ", "html-has-lang: "} {
		if !strings.Contains(found, rule) {
			t.Errorf("axe-core does not find %q, but:\n%s", rule, found)
		}
	}
	if found := strings.Join(b.runAxe(colours), "\n"); !strings.Contains(found, "color-contrast: ") {
		t.Errorf("of colours axe-core finds %q", found)
	}
}
