package ui_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

// pages is a plugin "weather" with pages of its own.
type pages struct {
	answer http.Handler // nil: says what it was asked
	err    error
	asked  []string
}

func (p *pages) hooks() ui.Hooks {
	return ui.Hooks{Page: func(plugin, prefix string, actor secrets.Actor, r *http.Request) (*http.Response, error) {
		if plugin != "weather" {
			return nil, secrets.ErrNotFound
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		p.asked = append(p.asked, fmt.Sprintf("%s %s below %s by %q: %s", r.Method, r.URL.RequestURI(), prefix, actor.ID(), body))
		if p.err != nil {
			return nil, p.err
		}
		recorder := httptest.NewRecorder()
		if p.answer != nil {
			p.answer.ServeHTTP(recorder, r)
		} else {
			recorder.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(recorder, "<p>sunny")
		}
		return recorder.Result(), nil
	}}
}

// answering is a page with these headers.
func answering(status int, pairs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Add(pairs[i], pairs[i+1])
		}
		w.WriteHeader(status)
	})
}

func TestPagesOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks(), func(o *options) {
		o.sets = [][2]string{{"base_url", "/base/"}, {"max_post_body_bytes", "10"}}
		o.permissions["view-instance"] = map[string]any{"id": "*"}
	})...)
	w.get("/base/-/plugins/weather/", w.as("ada")).want(t, 200, "<p>sunny")
	w.get("/base/-/plugins/weather/a%2Fb/%C3%A9;x?q=%20&y", w.as("ada")).want(t, 200)
	w.do("POST", "/base/-/plugins/weather/form", "hello", w.as("ada"), header("Sec-Fetch-Site", "same-origin")).want(t, 200)
	w.do("DELETE", "/base/-/plugins/weather/form", "", w.as("ada")).want(t, 200)
	if a := w.do("HEAD", "/base/-/plugins/weather/", "", w.as("ada")); a.StatusCode != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	want := []string{
		`GET / below /base/-/plugins/weather by "ada": `,
		`GET /a%2Fb/%C3%A9;x?q=%20&y below /base/-/plugins/weather by "ada": `,
		`POST /form below /base/-/plugins/weather by "ada": hello`,
		`DELETE /form below /base/-/plugins/weather by "ada": `,
		`HEAD / below /base/-/plugins/weather by "ada": `,
	}
	if !slices.Equal(p.asked, want) {
		t.Errorf("asked %q", p.asked)
	}
	p.asked = nil
	w.get("/base/-/plugins/weather/").want(t, 403) // may not see the host
	w.do("POST", "/base/-/plugins/weather/", strings.Repeat("x", 11), w.as("ada")).want(t, 413)
	w.do("POST", "/base/-/plugins/weather/", strings.Repeat("x", 11), w.as("ada"), func(r *http.Request) { r.ContentLength = -1 }).want(t, 413)
	w.get("/base/-/plugins/unknown/", w.as("ada")).want(t, 302)
	w.get("/base/-/plugins/unknown/x", w.as("ada")).want(t, 404)
	w.get("/base/-/plugins/weather", w.as("ada")).want(t, 404)
	for _, method := range []string{"OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
		w.do(method, "/base/-/plugins/weather/", "", w.as("ada")).want(t, 405)
	}
	if len(p.asked) > 0 {
		t.Errorf("asked %q", p.asked)
	}
}

// A form of another site, or of a page in an origin of its own, reaches no
// plugin either.
func TestFormsToPagesOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks())...)
	for _, from := range []func(*http.Request){
		header("Origin", "null"), header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"),
	} {
		for _, path := range []string{"/-/plugins/weather/form", "/-/secrets/ONE"} {
			w.post(path, from, "secret", "x").want(t, 403, "Form origin check failed")
			w.do("POST", path, "secret=x", w.as("root"), from).want(t, 403)
			w.do("DELETE", path, "", w.as("root"), from).want(t, 403)
		}
	}
	if len(p.asked) > 0 {
		t.Errorf("asked %q", p.asked)
	}
}

// No path of a plugin's pages is one of the host's, in nobody's eyes.
func TestPathsThatLeaveAPlugin(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks())...)
	for _, below := range []string{
		"/..", "/../", "/../secrets", "/a/../../secrets", "/.", "/./x", "/%2e%2e/secrets", "/%2E%2e/", "/.%2e/x", "/..%2fsecrets", "/x%2f..%2f..%2fsecrets",
		"/..%5csecrets", "/%5c..%5c",
	} {
		if a := w.get("/-/plugins/weather"+below, w.as("root")); a.StatusCode == 200 {
			t.Errorf("%s: %s", below, a.body)
		}
	}
	for _, name := range []string{".", "..", "%2e%2e", "weather%2f..", "WEATHER", "weather%00", "weather;x"} {
		if a := w.get("/-/plugins/"+name+"/x", w.as("root")); a.StatusCode == 200 {
			t.Errorf("plugin %s: %s", name, a.body)
		}
	}
	if len(p.asked) > 0 {
		t.Errorf("asked %q", p.asked)
	}
	for _, below := range []string{"/...", "/a..b", "/..a", "/-x", "/-/x", "//x", "/a//b", "/%00", "/a%252e%252e"} {
		w.get("/-/plugins/weather"+below, w.as("root")).want(t, 200)
	}
}

func TestHeadersOfPagesOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{answer: answering(201,
		"Content-Type", "text/css; charset=latin1; x=y", "Content-Disposition", "inline", "Content-Language", "pt", "Retry-After", "5",
		"Set-Cookie", "ds_actor=evil; Path=/", "Set-Cookie", "other=x", "Clear-Site-Data", `"*"`, "Refresh", "0; url=/-/logout", "Link", "</x>; rel=preload",
		"Content-Security-Policy", "default-src *", "Content-Security-Policy-Report-Only", "x", "X-Frame-Options", "ALLOWALL", "Referrer-Policy", "unsafe-url",
		"X-Content-Type-Options", "sniff", "Cross-Origin-Resource-Policy", "cross-origin", "Cross-Origin-Opener-Policy", "unsafe-none",
		"Access-Control-Allow-Origin", "*", "Access-Control-Allow-Credentials", "true", "Cache-Control", "public, max-age=99999", "Expires", "x", "Service-Worker-Allowed", "/",
		"Strict-Transport-Security", "max-age=1", "WWW-Authenticate", "Basic", "Alt-Svc", "h2=evil", "X-Accel-Redirect", "/etc/passwd", "X-Sendfile", "/etc/passwd",
		"Report-To", "x", "Server", "x", "X-Anything", "x", "X-Request-Id", "x", "Trailer", "X", "Upgrade", "h2c", "Connection", "keep-alive, x")}
	w := newWorld(t, hooked(p.hooks())...)
	a := w.get("/-/plugins/weather/", w.as("root"))
	a.want(t, 201)
	want := map[string]string{
		"Content-Type": "text/css; charset=latin1", "Content-Disposition": "inline", "Content-Language": "pt", "Retry-After": "5",
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin",
		"Content-Security-Policy": "sandbox allow-same-origin allow-forms allow-downloads; default-src 'none'; style-src 'unsafe-inline' http://127.0.0.1:8123/-/plugins/weather/; " +
			"img-src data: http://127.0.0.1:8123/-/plugins/weather/; font-src http://127.0.0.1:8123/-/plugins/weather/; media-src http://127.0.0.1:8123/-/plugins/weather/; " +
			"base-uri 'none'; frame-ancestors 'none'; form-action http://127.0.0.1:8123/-/plugins/weather/",
	}
	for name, values := range a.Header {
		if name == "X-Request-Id" && ownID.MatchString(strings.Join(values, ",")) {
			continue
		}
		if len(values) != 1 || values[0] != want[name] {
			t.Errorf("%s: %q, want %q", name, values, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestPoliciesOfPagesOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks(), func(o *options) { o.sets = [][2]string{{"base_url", "/base/"}, {"force_https_urls", "true"}} })...)
	policy := func(asks, host string) string {
		p.answer = answering(200, "Content-Security-Policy", asks)
		return w.get("/base/-/plugins/weather/", w.as("root"), func(r *http.Request) { r.Host = host }).Header.Get("Content-Security-Policy")
	}
	const own = "https://example.com/base/-/plugins/weather/"
	scripts := "sandbox allow-scripts allow-forms; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action " + own
	for _, asks := range []string{"sandbox allow-scripts", "default-src *; SANDBOX Allow-Scripts allow-same-origin allow-top-navigation;"} {
		if got := policy(asks, "example.com"); got != scripts {
			t.Errorf("%q: %s", asks, got)
		}
	}
	for _, asks := range []string{"", "sandbox", "sandbox allow-same-origin", "script-src *", "sandbox; sandbox allow-scripts", "xsandbox allow-scripts", "allow-scripts"} {
		got := policy(asks, "example.com")
		if !strings.HasPrefix(got, "sandbox allow-same-origin allow-forms allow-downloads; default-src 'none'; ") || strings.Contains(got, "script") || !strings.HasSuffix(got, "form-action "+own) {
			t.Errorf("%q: %s", asks, got)
		}
	}
	for _, host := range []string{"[::1]:8001", "evil;script-src *", "a b", ""} {
		for _, asks := range []string{"", "sandbox allow-scripts"} {
			if got := policy(asks, host); !strings.HasSuffix(got, "form-action 'none'") || strings.Contains(got, "*") {
				t.Errorf("%q: %s", host, got)
			}
		}
	}
}

// Nothing that a plugin serves can be run by another page.
func TestTypesOfPagesOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks())...)
	for sent, want := range map[string]string{
		"text/html":                             "text/html",
		"text/html;charset=UTF-8":               "text/html; charset=UTF-8",
		"TEXT/HTML; charset=utf-8; x=y":         "text/html; charset=utf-8",
		"image/png":                             "image/png",
		"":                                      "text/plain; charset=utf-8",
		"text/javascript":                       "text/plain; charset=utf-8",
		"Application/JavaScript; x=1":           "text/plain; charset=utf-8",
		"application/ecmascript":                "text/plain; charset=utf-8",
		"text/javascript1.5":                    "text/plain; charset=utf-8",
		"text/livescript":                       "text/plain; charset=utf-8",
		"text/jscript":                          "text/plain; charset=utf-8",
		"application/wasm":                      "text/plain; charset=utf-8",
		"text/javascript, text/html":            "application/octet-stream",
		"text/html; charset=\"a b\"":            "text/html",
		"no type":                               "application/octet-stream",
		"multipart/x-mixed-replace; boundary=x": "application/octet-stream",
		"Multipart/Related; boundary=x":         "application/octet-stream",
		"message/rfc822":                        "application/octet-stream",
		";":                                     "application/octet-stream",
		"text/html; charset=utf-8; ; ; =x":      "application/octet-stream",
	} {
		p.answer = answering(200, "Content-Type", sent)
		if got := w.get("/-/plugins/weather/", w.as("root")).Header.Get("Content-Type"); got != want {
			t.Errorf("%q goes out as %q, want %q", sent, got, want)
		}
	}
}

func TestRedirectsOfPlugins(t *testing.T) {
	t.Parallel()
	p := &pages{}
	w := newWorld(t, hooked(p.hooks(), func(o *options) { o.sets = [][2]string{{"base_url", "/base/"}} })...)
	const prefix = "/base/-/plugins/weather"
	for location, want := range map[string]string{
		"/":                       prefix + "/",
		"/x?y=%20#z":              prefix + "/x?y=%20#z",
		"next":                    prefix + "/a/next",
		"../up":                   prefix + "/up",
		"?page=2":                 prefix + "/a/b?page=2",
		prefix + "/x":             prefix + "/x",
		prefix:                    prefix + "/",
		prefix + "/../../secrets": prefix + "/secrets",
		"../../../../-/secrets":   prefix + "/-/secrets",
		"http://127.0.0.1:8123" + prefix + "/x?y": prefix + "/x?y",
		"https://example.com/x":                   "https://example.com/x",
		"HTTP://EXAMPLE.COM":                      "http://EXAMPLE.COM",
		"http://127.0.0.1:8123" + prefix:          prefix + "/",
		"///x":                                    prefix + "///x",
		"/a%2Fb":                                  prefix + "/a%2Fb",
	} {
		p.answer = answering(303, "Location", location)
		a := w.get(prefix+"/a/b", w.as("root"))
		a.want(t, 303)
		if got := a.Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", location, got, want)
		}
	}
	for _, location := range []string{
		"//evil.example/", "\\\\evil.example", "/\\evil.example", "http:\\\\evil.example", "javascript:pwned()", "data:text/html,x", "mailto:a@example.com", "file:///etc/passwd",
		"http://127.0.0.1:8123/-/secrets", "http://127.0.0.1:8123/base/-/secrets", "https://127.0.0.1/base/-/logout", "http://127.0.0.1:8123" + prefix + "x/",
		"http://user@example.com/", "http://127.0.0.1:8123@example.com/", "http:///x", "http:/x", "/%2e%2e/secrets", prefix + "//evil.example/", "/%zz", "a:b", " /x", "/\x7f",
	} {
		p.answer = answering(307, "Location", location, "Content-Encoding", "gzip")
		a := w.get(prefix+"/a/b", w.as("root"))
		a.want(t, 502, "leads to an address outside its pages")
		if got := a.Header.Get("Location") + a.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("%q: %q goes out", location, got)
		}
	}
}

func TestPagesThatFail(t *testing.T) {
	t.Parallel()
	p := &pages{err: fmt.Errorf("%w: it hangs", secrets.ErrUnavailable)}
	w := newWorld(t, hooked(p.hooks())...)
	failed := w.get("/-/plugins/weather/", w.as("root"))
	failed.want(t, 503, "The plugin weather does not answer.")
	failed.lacks(t, "it hangs")
	if !strings.Contains(w.log.String(), "it hangs") {
		t.Errorf("the log says %s", w.log)
	}
	p.err = fmt.Errorf("%w: the headers of the request are too large to pass on", secrets.ErrInvalid)
	w.get("/-/plugins/weather/", w.as("root")).want(t, 400, "The headers of the request are too large to pass on")
	p.err = errors.New("hunter2")
	w.get("/-/plugins/weather/", w.as("root")).lacks(t, "hunter2")

	// A page that ends early ends the connection, too.
	hooks := ui.Hooks{Page: func(string, string, secrets.Actor, *http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader("half"), failing{})
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1}, nil
	}}
	server := httptest.NewServer(newWorld(t, hooked(hooks)...).handler)
	defer server.Close()
	response, err := http.Get(server.URL + "/-/plugins/weather/")
	ok(t, err)
	defer response.Body.Close()
	if data, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the page seems whole: %q", data)
	}
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

func FuzzPluginLocation(f *testing.F) {
	for _, location := range []string{"/", "next", "../x", "//x", "http://x/", "http://127.0.0.1:8123/-/secrets", "/-/plugins/weather/x", "/\\x", "javascript:x"} {
		f.Add(location)
	}
	f.Fuzz(func(t *testing.T, location string) {
		got, err := ui.PluginLocation("127.0.0.1:8123", location)
		if err != nil {
			return
		}
		local, isLocal := strings.CutPrefix(got, "/-/plugins/weather/")
		lower := strings.ToLower(got)
		switch {
		case isLocal && !strings.Contains(local, "/../") && !strings.HasPrefix(local, "../"):
		case strings.HasPrefix(lower, "http://127.0.0.1"):
			t.Errorf("%q leads to %q, on this host", location, got)
		case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		default:
			t.Errorf("%q leads to %q", location, got)
		}
	})
}
