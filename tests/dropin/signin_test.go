package dropin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// signIn opens the URL that signs root in and returns the cookie.
func signIn(t *testing.T, p *harness.Process) string {
	t.Helper()
	at, err := url.Parse(p.SignIn)
	if err != nil {
		t.Fatal(err)
	}
	cookie, ok := p.Do(t, harness.Request{Path: at.RequestURI()}).Cookie("ds_actor")
	if !ok {
		t.Fatalf("%s does not sign in", p.SignIn)
	}
	return "ds_actor=" + cookie
}

// Who is signed in at the host is signed in at Datasette, and back, and the
// link of Datasette leads to the host's page.
func TestOneSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA")
	datasette := w.datasette(t, w.URL)
	for from, cookie := range map[string]string{"the host": signIn(t, w.Process), "Datasette": signIn(t, datasette)} {
		for at, p := range map[string]*harness.Process{"the host": w.Process, "Datasette": datasette} {
			actor := p.Do(t, harness.Request{Path: "/-/actor.json", Cookie: cookie}).Text
			if !strings.Contains(actor, `"id": "root"`) {
				t.Errorf("signed in at %s, %s has %s", from, at, actor)
			}
		}
		home := datasette.Do(t, harness.Request{Path: "/", Cookie: cookie})
		if !strings.Contains(home.Text, `<a href="/-/secrets">Manage secrets</a>`) {
			t.Errorf("signed in at %s: no link on Datasette's home page", from)
		}
		for _, path := range []string{"/-/secrets", "/-/secrets/ALPHA"} {
			r := datasette.Do(t, harness.Request{Path: path, Cookie: cookie})
			if r.StatusCode != http.StatusFound || r.Header.Get("Location") != w.URL+path {
				t.Errorf("%s leads to %s %s", path, r.Status, r.Header.Get("Location"))
			}
			if page := w.Do(t, harness.Request{Path: path, Cookie: cookie}); page.StatusCode != http.StatusOK || !strings.Contains(page.Text, "ALPHA") {
				t.Errorf("%s of the host: %s", path, page.Status)
			}
		}
	}
	if r := datasette.Get(t, "/-/secrets", nil); r.StatusCode != http.StatusForbidden || r.Header.Get("Location") != "" {
		t.Errorf("not signed in: %s to %q", r.Status, r.Header.Get("Location"))
	}
}

// With mode: proxy the host's pages are Datasette's own.
func TestProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA")
	w.Stop(t)
	w.args = append(w.args, "-s", "base_url", "/-/secrets-host/")
	w.again(t)
	datasette := w.datasette(t, w.URL, "-s", "plugins.datasette-secrets.mode", "proxy")
	cookie := signIn(t, datasette)
	ask := func(r harness.Request) harness.Response {
		t.Helper()
		r.Cookie = cookie
		return datasette.Do(t, r)
	}
	list := ask(harness.Request{Path: "/-/secrets"})
	if list.StatusCode != http.StatusOK || !strings.Contains(list.Text, `href="/-/secrets-host/-/secrets/ALPHA"`) {
		t.Fatalf("the list: %s\n%s", list.Status, list.Text)
	}
	for _, attribute := range []string{`<link rel="stylesheet" href="`} {
		_, rest, _ := strings.Cut(list.Text, attribute)
		path, _, _ := strings.Cut(rest, `"`)
		if r := ask(harness.Request{Path: path}); r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") {
			t.Errorf("the style sheet %q: %s", path, r.Status)
		}
	}
	set := ask(harness.Request{Path: "/-/secrets-host/-/secrets/ALPHA", Form: url.Values{"secret": {"proxied"}, "note": {""}},
		Header: map[string]string{"Origin": datasette.URL, "Sec-Fetch-Site": "same-origin"}})
	if set.StatusCode != http.StatusFound || set.Header.Get("Location") != "/-/secrets-host/-/secrets" {
		t.Errorf("setting: %s to %q\n%s", set.Status, set.Header.Get("Location"), set.Text)
	}
	flash, _ := set.Cookie("ds_messages")
	shown := datasette.Do(t, harness.Request{Path: "/-/secrets-host/-/secrets", Cookie: cookie + "; ds_messages=" + flash})
	if cleared, ok := shown.Cookie("ds_messages"); !strings.Contains(shown.Text, "ALPHA updated") || !ok || cleared != "" {
		t.Errorf("the message is not shown and cleared: %q\n%s", cleared, shown.Text)
	}
	want(t, "set through the proxy", read(t, datasette, "ALPHA"), "=proxied")

	// What comes from other sites changes nothing, and what is not allowed is not shown.
	for _, header := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}} {
		r := ask(harness.Request{Path: "/-/secrets-host/-/secrets/ALPHA", Form: url.Values{"secret": {"evil"}}, Header: header})
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", header, r.Status)
		}
	}
	for _, path := range []string{"/-/secrets", "/-/secrets/ALPHA", "/-/secrets-host/-/secrets", "/-/secrets-host/-/plugins"} {
		if r := datasette.Get(t, path, nil); r.StatusCode != http.StatusForbidden {
			t.Errorf("not signed in, %s: %s", path, r.Status)
		}
	}
	for _, path := range []string{"/-/secrets-host/-/api/v1/secrets/ALPHA", "/-/secrets-host/-/static/%2e%2e/api/v1/secrets/ALPHA"} {
		if r := ask(harness.Request{Path: path}); r.StatusCode == http.StatusOK || strings.Contains(r.Text, "proxied") {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	want(t, "still", read(t, datasette, "ALPHA"), "=proxied")
}
