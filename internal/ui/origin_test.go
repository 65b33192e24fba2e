package ui_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestOriginCheck(t *testing.T) {
	t.Parallel()
	plain := newWorld(t, demo)
	forced := newWorld(t, demo, func(o *options) { o.sets = [][2]string{{"force_https_urls", "1"}} })
	cookie := plain.as("root")
	none := func(*http.Request) {}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	h := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
	for _, c := range []struct {
		name   string
		world  *world
		change []func(*http.Request)
		status int
		reason string
	}{
		{"neither header", plain, []func(*http.Request){cookie}, 302, ""},
		{"same-origin", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "same-origin")}, 302, ""},
		{"none", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "none")}, 302, ""},
		{"same-site", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "same-site")}, 403, "Sec-Fetch-Site was &#39;same-site&#39;, expected &#39;same-origin&#39; or &#39;none&#39;"},
		{"cross-site with our origin", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "cross-site", "Origin", "http://127.0.0.1:8123")}, 403, "Sec-Fetch-Site was &#39;cross-site&#39;"},
		{"capitals", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "Same-Origin")}, 403, "&#39;Same-Origin&#39;"},
		{"empty", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "")}, 302, ""},
		{"empty, foreign origin", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "", "Origin", "http://evil.example")}, 403, "Origin &#39;http://evil.example&#39; does not match Host &#39;127.0.0.1:8123&#39;"},
		{"repeated, last foreign", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site")}, 403, "cross-site"},
		{"repeated, last ours", plain, []func(*http.Request){cookie, h("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Site", "same-origin")}, 302, ""},
		{"our origin", plain, []func(*http.Request){cookie, h("Origin", "http://127.0.0.1:8123")}, 302, ""},
		{"our origin with a path", plain, []func(*http.Request){cookie, h("Origin", "http://user@127.0.0.1:8123/x")}, 302, ""},
		{"other scheme", plain, []func(*http.Request){cookie, h("Origin", "https://127.0.0.1:8123")}, 403, "does not match"},
		{"other port", plain, []func(*http.Request){cookie, h("Origin", "http://127.0.0.1:8124")}, 403, "does not match"},
		{"null", plain, []func(*http.Request){cookie, h("Origin", "null")}, 403, "Malformed Origin &#39;null&#39; or Host &#39;127.0.0.1:8123&#39;"},
		{"bad port", plain, []func(*http.Request){cookie, h("Origin", "http://127.0.0.1:99999")}, 403, "Malformed Origin"},
		{"unknown scheme", plain, []func(*http.Request){cookie, h("Origin", "moz-extension://abc")}, 403, "Malformed Origin"},
		{"garbage is escaped", plain, []func(*http.Request){cookie, h("Origin", "http://<b>'\xff")}, 403, `Origin &#34;http://&lt;b&gt;&#39;ÿ&#34; does not match`},
		{"default port and case", plain, []func(*http.Request){cookie, host("example.com:80"), h("Origin", "http://EXAMPLE.com")}, 302, ""},
		{"IPv6", plain, []func(*http.Request){cookie, host("[::1]:8123"), h("Origin", "http://[::1]:8123")}, 302, ""},
		{"https by setting", forced, []func(*http.Request){cookie, h("Origin", "https://127.0.0.1:8123")}, 302, ""},
		{"http against the setting", forced, []func(*http.Request){cookie, h("Origin", "http://127.0.0.1:8123")}, 403, "does not match"},
		{"bearer beside a cookie", plain, []func(*http.Request){cookie, h("Authorization", "Bearer x", "Sec-Fetch-Site", "cross-site")}, 403, "cross-site"},
		{"bearer alone, token wrong", plain, []func(*http.Request){h("Authorization", "Bearer dstok_x", "Sec-Fetch-Site", "cross-site")}, 401, ""},
		{"bearer alone, not ours", plain, []func(*http.Request){h("Authorization", "BEARER x", "Sec-Fetch-Site", "cross-site")}, 403, ""},
		{"basic is ambient", plain, []func(*http.Request){none, h("Authorization", "Basic eDp5", "Sec-Fetch-Site", "cross-site")}, 403, "cross-site"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := c.world.do("POST", "/-/secrets/ONE", "secret=v", c.change...)
			a.want(t, c.status)
			if c.reason == "" {
				a.lacks(t, "Form origin check failed")
				return
			}
			a.want(t, 403, "<title>CSRF check failed</title>", "<h1>Form origin check failed</h1>", "<details", "Reason: ", c.reason)
			a.lacks(t, "<strong>root</strong>", "Manage secrets")
		})
	}
}

func TestOriginCheckComesBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	foreign := header("Sec-Fetch-Site", "cross-site")
	for _, path := range []string{"/-/secrets/ONE", "/-/logout", "/-/create-token", "/-/secrets/ONE/-/delete", "/-/secrets/ONE/-/restore", "/nosuch", "/x.json"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			a := w.do(method, path, "", foreign, w.as("root"), header("Accept", "application/json"))
			a.want(t, 403, "Form origin check failed")
			if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s %s: %s", method, path, a.Header.Get("Content-Type"))
			}
		}
	}
	w.do("GET", "/-/secrets", "", foreign, w.as("root")).want(t, 200)
}
