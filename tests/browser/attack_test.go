package browser_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// serve serves a page of an attacker on another port. At 127.0.0.1 it is of
// the same site as the host, so that the browser sends the host its cookies,
// but not of the same origin. At localhost it is of another site.
func serve(t *testing.T, name, html string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<!DOCTYPE html><title>Prizes</title>", html)
		}),
	}}
	server.Start()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", name, 1)
}

// startKeeper starts a host that keeps one secret.
func startKeeper(t *testing.T) *harness.Process {
	t.Helper()
	host := harness.Start(t, harness.Options{Args: []string{"--root", "--internal", filepath.Join(t.TempDir(), "internal.db")}})
	put(t, host, "EXAMPLE_SECRET", "mine")
	return host
}

// A form on a page of somebody else changes nothing, although somebody who may
// change everything sends it.
func TestFormsOfOtherOrigins(t *testing.T) {
	t.Parallel()
	host := startKeeper(t)
	before := host.Get(t, "/-/secrets/EXAMPLE_SECRET", root()).Text
	for _, attacker := range []string{"127.0.0.1", "localhost"} {
		for _, path := range []string{"/-/secrets/EXAMPLE_SECRET", "/-/secrets/EXAMPLE_SECRET/-/delete", "/-/create-token", "/-/logout"} {
			t.Run(attacker+path, func(t *testing.T) {
				t.Parallel()
				b := openUnheard(t, host) // of the cookie that it did not send
				b.signIn(root())
				b.follow(chromedp.Navigate(serve(t, attacker, fmt.Sprintf(
					`<form method="post" action="%s%s"><input name="secret" value="owned"><input name="note" value="owned"><button>Win</button></form>`, host.URL, path))))
				b.is(mouse{}.press(b, "Win").Status, http.StatusForbidden)
				b.shows("Form origin check failed", "nothing was changed")
				b.is(b.visit("/-/secrets").Status, http.StatusOK) // still signed in
				b.shows("mine")
				if after := host.Get(t, "/-/secrets/EXAMPLE_SECRET", root()).Text; after != before {
					t.Errorf("the secret changed:\n%s", after)
				}
			})
		}
	}
}

func TestPagesCannotBeFramed(t *testing.T) {
	t.Parallel()
	host := startKeeper(t)
	for _, attacker := range []string{"127.0.0.1", "localhost"} {
		b := openUnheard(t, host)
		b.signIn(root())
		b.follow(chromedp.Navigate(serve(t, attacker, `<iframe src="`+host.URL+`/-/secrets"></iframe>`)))
		b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			tree, err := cdp.Call(ctx, target, page.GetFrameTree, cdp.Empty{})
			if err != nil {
				return err
			}
			for _, child := range tree.FrameTree.ChildFrames {
				if !strings.HasPrefix(child.Frame.URL, "chrome-error:") {
					t.Errorf("%s frames %s", attacker, child.Frame.URL)
				}
			}
			return nil
		}))
		if heard := strings.Join(b.heard(), "\n"); !strings.Contains(heard, "frame-ancestors 'none'") {
			t.Errorf("%s: the browser does not say that it refused the frame, but: %s", attacker, heard)
		}
	}
}

// Other pages in the browser get nothing out of ours, by any of the ways there
// are.
func TestOtherOriginsReadNothing(t *testing.T) {
	t.Parallel()
	host := startKeeper(t)
	for _, attacker := range []string{"127.0.0.1", "localhost"} {
		b := openUnheard(t, host)
		b.signIn(root())
		b.follow(chromedp.Navigate(serve(t, attacker, "")))
		for _, got := range eval[[]string](b, fmt.Sprintf(`(async (url) => {
			const load = (tag, address) => new Promise((done) => {
				const e = document.createElement(tag);
				e.onload = () => done(tag + " loaded");
				e.onerror = () => done("");
				e[tag === "link" ? "href" : "src"] = address;
				e.rel = "stylesheet";
				document.head.append(e);
			});
			const get = (options) => fetch(url, options).then((r) => "fetch " + r.type + " " + r.status, () => "");
			return Promise.all([
				get({credentials: "include"}), get({credentials: "include", mode: "no-cors"}),
				load("script", url), load("link", url), load("img", new URL("/favicon.ico", url)),
			]);
		})(%q)`, host.URL+"/-/secrets")) {
			if got != "" {
				t.Errorf("%s gets: %s", attacker, got)
			}
		}
	}
}

// What gets into a page in spite of everything can neither run nor send
// anything away.
func TestContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	b := openUnheard(t, startKeeper(t))
	b.signIn(root())
	b.visit("/-/secrets")
	away := serve(t, "127.0.0.1", "")
	for name, script := range map[string]string{
		"script-src": `const e = document.createElement("script"); e.textContent = "window.ran = true"; document.head.append(e)`,
		"style-src":  `const e = document.createElement("style"); e.textContent = "* { color: red }"; document.head.append(e)`,
		"img-src":    `new Image().src = away`,
		"connect":    `fetch(away).catch(() => 0)`,
		"form":       `const e = document.createElement("form"); e.action = away; e.method = "post"; document.body.append(e); e.submit()`,
		"base-uri":   `const e = document.createElement("base"); e.href = away; document.head.append(e)`,
		"frame":      `const e = document.createElement("iframe"); e.src = away; document.body.append(e)`,
	} {
		directive := eval[string](b, fmt.Sprintf(`new Promise((done) => {
			const away = %q;
			document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), {once: true});
			%s;
		})`, away, script))
		if !strings.HasPrefix(directive, strings.TrimSuffix(name, "-uri")) {
			t.Errorf("%s: refused by %q", name, directive)
		}
	}
	if eval[bool](b, "window.ran === true || document.cookie !== ''") {
		t.Error("an inline script ran, or scripts can read cookies")
	}
	if len(b.heard()) == 0 {
		t.Error("the browser complains about nothing, so the other tests would hear nothing either")
	}
}

// Without the help of the policy, no text becomes code.
func TestHostileTextsAreInert(t *testing.T) {
	t.Parallel()
	host := startHostile(t)
	b := open(t, host)
	b.signIn(root())
	b.do(
		call(page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}),
		call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "window.pwned = (how) => console.error(how)"}),
	)
	b.visit("/-/secrets")
	b.shows("SCRIPTED", "LINKED", hostileNames()[0], "onmouseover=")
	pages := eval[[]string](b, `[...document.querySelectorAll("main a[href^='/']")].map((a) => a.getAttribute("href"))`)
	if len(pages) != len(hostileNames())+2 {
		t.Fatalf("the list links to %q", pages)
	}
	for _, path := range append(pages, "/-/secrets?q=%22%3E%3Cscript%3Epwned('q')%3C/script%3E", "/-/plugins", "/-/secrets/%3Cscript%3Epwned('404')%3C%2Fscript%3E") {
		b.visit(path)
		b.inert()
		eval[bool](b, `document.querySelectorAll("*").forEach((e) => e.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}))), true`)
	}
}

// The value is nowhere once it was sent: not on any page, not behind the back
// button, not after a reload. Nor are the pages there after logging out.
func TestValueIsGone(t *testing.T) {
	t.Parallel()
	host := startKeeper(t)
	b := open(t, host)
	b.signIn(root())
	b.visit("/-/secrets")
	for _, path := range []string{"/-/secrets/EXAMPLE_SECRET", "/", "/-/plugins", "/-/config", "/-/actor", "/-/secrets"} {
		b.visit("/-/secrets/EXAMPLE_SECRET")
		mouse{}.enter(b, "Secret", first)
		mouse{}.press(b, "Update secret")
		b.arrived("/-/secrets")
		b.back()
		b.arrived("/-/secrets/EXAMPLE_SECRET", "Update secret")
		b.do(chromedp.Reload())
		b.arrived("/-/secrets/EXAMPLE_SECRET", "Update secret")
		b.visit(path)
		b.arrived(path)
	}
	// Typed, and left without sending it.
	b.visit("/-/secrets/EXAMPLE_SECRET")
	mouse{}.enter(b, "Secret", first)
	mouse{}.press(b, "secrets")
	b.back()
	b.arrived("/-/secrets/EXAMPLE_SECRET", "Update secret")

	b.visit("/-/secrets/EXAMPLE_SECRET")
	mouse{}.unfold(b, "Menu")
	mouse{}.press(b, "Log out")
	b.back()
	b.shows("Permission denied")
}
