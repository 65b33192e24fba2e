package browser_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// view is a page in one of its states.
type view struct {
	name   string // of its screenshots
	actor  secrets.Actor
	status int64
	reach  func(*tab) *network.Response
}

// at reaches a page by its address.
func at(path string) func(*tab) *network.Response {
	return func(b *tab) *network.Response { return b.visit(path) }
}

// after reaches a page by its address, and then changes something on it.
func after(path, script string) func(*tab) *network.Response {
	return func(b *tab) *network.Response {
		response := b.visit(path)
		eval[bool](b, "("+script+", true)")
		return response
	}
}

// via reaches a page by a button of another one, which is first made to let
// through what it would not.
func via(path, script, button string) func(*tab) *network.Response {
	return func(b *tab) *network.Response {
		after(path, script)(b)
		return mouse{}.press(b, button)
	}
}

func TestPagesOfABusyHost(t *testing.T) {
	t.Parallel()
	host := startBusy(t)
	const (
		secret = `document.querySelector("#secret")`
		menu   = `document.querySelector("details.nav-menu").open = true`
		unfold = `document.querySelectorAll("main details").forEach((e) => e.open = true)`
		filter = `document.querySelector("#filter")`
	)
	lookAll(t, host,
		view{"home", root(), 200, whenFailing("/")},
		view{"home-anonymous", nil, 200, at("/")},
		view{"home-stranger", stranger(), 200, at("/")},
		view{"menu", root(), 200, after("/", menu)},
		view{"secrets", root(), 200, at("/-/secrets")},
		view{"secrets-filtered", root(), 200, at("/-/secrets?q=key")},
		view{"secrets-filter-typed", root(), 200, after("/-/secrets", filter+`.value = "invoices", `+filter+`.dispatchEvent(new Event("input"))`)},
		view{"secrets-none-found", root(), 200, at("/-/secrets?q=nothing-is-called-so")},
		view{"secret-set", root(), 200, at("/-/secrets/OPENAI_API_KEY")},
		view{"secret-history", root(), 200, at("/-/secrets/STRIPE_SECRET_KEY")},
		view{"secret-unset", root(), 200, at("/-/secrets/BANK_API_CERTIFICATE")},
		view{"secret-deleted", root(), 200, at("/-/secrets/S3_ACCESS_KEY")},
		view{"secret-environment", root(), 200, at("/-/secrets/SMTP_PASSWORD")},
		view{"secret-long-name", amy(), 200, at("/-/secrets/GEOCODER_TOKEN_FOR_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME")},
		view{"secret-required", root(), 200, via("/-/secrets/SLACK_WEBHOOK", secret+".required = false", "Add secret")},
		view{"log-filtered", root(), 200, at("/-/secrets/log?action=put&name=STRIPE_SECRET_KEY&since=1d")},
		view{"log-verified", root(), 200, via("/-/secrets/log", "true", "Verify now")},
		view{"log-entry", root(), 200, at("/-/secrets/-/log/5")},
		view{"secret-log", root(), 200, after("/-/secrets/STRIPE_SECRET_KEY", unfold)},
		view{"delete", root(), 200, at("/-/secrets/STRIPE_SECRET_KEY/-/delete")},
		view{"restore", root(), 200, at("/-/secrets/STRIPE_SECRET_KEY/-/restore?version=1")},
		view{"sign-in", nil, 200, at("/-/sign-in")},
		view{"signed-in", root(), 200, at("/-/sign-in")},
		view{"logout", root(), 200, at("/-/logout")},
		view{"actor", root(), 200, at("/-/actor")},
		view{"actor-anonymous", nil, 200, at("/-/actor")},
		view{"plugins", root(), 200, whenFailing("/-/plugins")},
		view{"plugins-anonymous", nil, 200, whenFailing("/-/plugins")},
		view{"versions", root(), 200, at("/-/versions")},
		view{"settings", root(), 200, at("/-/settings")},
		view{"config", root(), 200, at("/-/config")},
		view{"databases", root(), 200, at("/-/databases")},
		view{"actions", root(), 200, at("/-/actions")},
		view{"create-token", root(), 200, after("/-/create-token", unfold)},
		view{"create-token-wrong", root(), 200, via("/-/create-token", `document.querySelector("#expire_type").value = "days"`, "Create token")},
		view{"create-token-result", root(), 200, via("/-/create-token", `true`, "Create token")},
		view{"error-403", nil, 403, at("/-/secrets")},
		view{"error-403-stranger", stranger(), 403, at("/-/secrets")},
		view{"error-403-token", nil, 403, at("/-/auth-token?token=wrong")},
		view{"error-404", root(), 404, at("/no/such/page")},
		view{"error-404-secret", root(), 404, at("/-/secrets/STRIPE_SECRET_KEYS")},
		view{"error-413", root(), 413, via("/-/secrets/SLACK_WEBHOOK", secret+`.value = "x".repeat(3000)`, "Add secret")},
		view{"error-origin", root(), 403, fromElsewhere},
	)
}

func TestPagesOfOtherHosts(t *testing.T) {
	t.Parallel()
	t.Run("fresh", func(t *testing.T) {
		t.Parallel()
		lookAll(t, startDemo(t),
			view{"secrets-fresh", root(), 200, at("/-/secrets")},
			view{"secrets-message", root(), 200, func(b *tab) *network.Response {
				b.visit("/-/secrets/DEMO_PASSWORD")
				mouse{}.enter(b, "Secret", canary)
				return mouse{}.press(b, "Add secret")
			}},
		)
	})
	t.Run("bare", func(t *testing.T) { // no key, no plugins, no file, no --root
		t.Parallel()
		lookAll(t, harness.Start(t, harness.Options{NoKey: true, Args: []string{"-s", "permissions.manage-secrets.id", "amy"}}),
			view{"home-not-configured", amy(), 200, at("/")},
			view{"secrets-not-configured", amy(), 200, at("/-/secrets")},
			view{"sign-in-without-root", nil, 200, at("/-/sign-in")},
			view{"plugins-none", amy(), 200, at("/-/plugins")},
		)
	})
	t.Run("ephemeral", func(t *testing.T) {
		t.Parallel()
		lookAll(t, harness.Start(t, harness.Options{Args: []string{"--root"}}),
			view{"home-ephemeral", root(), 200, at("/")},
			view{"secrets-ephemeral", root(), 200, at("/-/secrets")},
			view{"secret-ephemeral", root(), 200, at("/-/secrets/EXAMPLE_SECRET")},
		)
	})
	t.Run("hostile", func(t *testing.T) {
		t.Parallel()
		lookAll(t, startHostile(t),
			view{"secrets-hostile", root(), 200, at("/-/secrets")},
			view{"secret-hostile", root(), 200, at("/-/secrets/" + strings.Repeat("W", 255))},
			view{"delete-hostile", root(), 200, at("/-/secrets/" + strings.Repeat("W", 255) + "/-/delete")},
		)
	})
	t.Run("formal", func(t *testing.T) {
		t.Parallel()
		lookAll(t, startFormal(t),
			view{"secret-pattern", root(), 200, at("/-/secrets/NEW_TOKEN")},
			view{"secret-pattern-refused", root(), 200, via("/-/secrets/NEW_TOKEN", `document.querySelector("#secret").value = "`+canary+`"`, "Add secret")},
			view{"secret-ends", root(), 200, at("/-/secrets/API_TOKEN")},
			view{"secret-lines", root(), 200, at("/-/secrets/SIGNING_KEY")},
			view{"secret-lines-refused", root(), 200, via("/-/secrets/SIGNING_KEY", `document.querySelector("#secret").value = "`+canary+`\n"`, "Add secret")},
		)
	})
	t.Run("ill", testPagesOfAnIllHost)
}

// testPagesOfAnIllHost looks at what is said when the database is busy for too
// long, and when it is broken.
func testPagesOfAnIllHost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	host := harness.Start(t, harness.Options{Args: []string{"--root", "--internal", file}})
	unlock := lock(t, file)
	look(t, host, view{"error-503", root(), 503,
		via("/-/secrets/EXAMPLE_SECRET", `document.querySelector("#secret").value = "`+canary+`"`, "Add secret")})
	unlock()
	execute(t, file, "drop table datasette_secrets")
	look(t, host, view{"error-500", root(), 500, at("/-/secrets")})
}

// lookAll looks at views side by side.
func lookAll(t *testing.T, host *harness.Process, views ...view) {
	t.Helper()
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			look(t, host, v)
		})
	}
}

// look reaches a view and looks at it in every way.
func look(t *testing.T, host *harness.Process, v view) {
	t.Helper()
	b := open(t, host)
	if v.actor != nil {
		b.signIn(v.actor)
	}
	response := v.reach(b)
	b.is(response.Status, v.status)
	b.guarded(response)
	b.loadAxe()
	for _, s := range []screen{desk, phone} {
		for _, c := range []scheme{light, dark} {
			b.look(s, c)
			b.fits()
			// Only colours differ in the dark.
			b.accessible(c == light || harness.Soak())
			if photographs() {
				b.photograph(v.name, s, c)
			}
		}
	}
	for _, s := range []screen{tablet, narrow} {
		b.look(s, light)
		b.fits()
	}
	b.inert()
	b.holdsNothing(canary)
}

// guarded checks the headers of a page that browsers act on.
func (b *tab) guarded(response *network.Response) {
	b.t.Helper()
	for name, want := range map[string]string{
		"Cache-Control":           "no-store",
		"Content-Security-Policy": "frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff",
	} {
		if got := fmt.Sprint(response.Headers[name]); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
			b.t.Errorf("%s is %q, want %q in it", name, got, want)
		}
	}
}

// fits checks that the page need not be scrolled sideways (WCAG 1.4.10).
func (b *tab) fits() {
	b.t.Helper()
	if width := eval[int64](b, "document.scrollingElement.scrollWidth"); width > b.width {
		wide := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d).map((e) => e.outerHTML.slice(0, 100))`, b.width))
		b.t.Errorf("the page is %d pixels wide on a screen of %d:\n%s", width, b.width, strings.Join(wide, "\n"))
	}
}

// inert checks that the page runs nothing but our one file, and that none of
// its texts became code.
func (b *tab) inert() {
	b.t.Helper()
	for _, found := range eval[[]string](b, `[
		...[...document.querySelectorAll("*")].flatMap((e) => [...e.attributes])
			.filter((a) => /^on/i.test(a.name) || a.name === "style" || /^\s*javascript:/i.test(a.value))
			.map((a) => a.name + "=" + a.value),
		...[...document.querySelectorAll("script, iframe, object, embed, base, main img")]
			.filter((e) => !new URL(e.src, location).pathname.endsWith("/-/static/app.js"))
			.map((e) => e.outerHTML),
	]`) {
		b.t.Errorf("the page holds %s", found)
	}
}

// photographs tells whether pictures are taken: by who runs some of the tests
// (-run), and in the long runs. They are a third of the work of all tests.
func photographs() bool {
	return flag.Lookup("test.run").Value.String() != "" || harness.Soak()
}

// photograph writes a screenshot of the whole page.
func (b *tab) photograph(name string, s screen, c scheme) {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	yes, height := true, eval[float64](b, "document.scrollingElement.scrollHeight")
	picture, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &yes, OptimizeForSpeed: &yes,
		Clip: &page.Viewport{Width: float64(s.width), Height: height, Scale: 1},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	folder := filepath.Join(harness.Root(), "build", "screenshots")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, s.width, c)), picture.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// fromElsewhere reaches the answer to a form on a page of another origin.
func fromElsewhere(b *tab) *network.Response {
	b.follow(chromedp.Navigate(serve(b.t, "127.0.0.1", `<form method="post" action="`+b.host.URL+`/-/secrets/SLACK_WEBHOOK"><button>Win</button></form>`)))
	return mouse{}.press(b, "Win")
}

// whenFailing reaches a page as soon as it shows a plugin that fails, or did so
// too often. One that is being started again is not, for a moment.
func whenFailing(path string) func(*tab) *network.Response {
	return func(b *tab) *network.Response {
		for range 100 {
			if response := b.visit(path); strings.Contains(b.text(), "failing") || strings.Contains(b.text(), "failed") {
				return response
			}
		}
		b.t.Fatalf("no plugin fails\n%s", b.where())
		return nil
	}
}
