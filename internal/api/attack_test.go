package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/api"
)

// raw sends bytes as they are, and returns everything that comes back.
func (w *world) raw(request string) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	ok(w.t, err)
	defer conn.Close()
	ok(w.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	ok(w.t, err)
	var text []byte
	for buffer := make([]byte, 64<<10); ; {
		n, err := conn.Read(buffer)
		text = append(text, buffer[:n]...)
		if err != nil {
			return string(text)
		}
		// The server waits for more where it trusts the length. Then nothing more
		// is wanted; before the first answer this would look like a client that
		// has gone.
		ok(w.t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	}
}

// refusal checks that the newest entry of the log is a refusal of a client, or
// of nobody.
func (w *world) refusal(about, client string) {
	w.t.Helper()
	e := w.entries(1)[0]
	if e.Allowed || e.Client != client || e.Reason == "" || e.RequestID == "" {
		w.t.Errorf("%s: the log has %+v", about, e)
	}
	if strings.Contains(e.Reason, canary) || strings.Contains(e.Reason, w.reader) {
		w.t.Errorf("%s: the log has a secret: %q", about, e.Reason)
	}
}

// Whatever a browser or Datasette sends by itself is no client token.
func TestOnlyAClientTokenReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, headers := range map[string][]string{
		"nothing":       {},
		"a cookie":      {"Cookie", "ds_actor=" + w.reader},
		"basic":         {"Authorization", "Basic " + w.reader},
		"no scheme":     {"Authorization", w.reader},
		"empty":         {"Authorization", "Bearer "},
		"signed":        {"Authorization", "Bearer dstok_eyJhIjoicm9vdCIsInQiOjF9.abc"},
		"cut":           {"Authorization", "Bearer " + w.reader[:50]},
		"two spaces":    {"Authorization", "Bearer  " + w.reader},
		"a list":        {"Authorization", "Bearer " + w.reader + ", Bearer " + w.writer},
		"another place": {"X-Api-Key", w.reader, "X-Authorization", "Bearer " + w.reader},
	} {
		a := w.ask("GET", "/-/api/v1/secrets/API_KEY", "", "", headers...)
		if a.StatusCode != 401 || strings.Contains(a.body, canary) || strings.Contains(a.body, w.reader) || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %d %s", name, a.StatusCode, a.body)
		}
		w.refusal(name, "")
	}
	w.ask("GET", "/-/api/v1/secrets/API_KEY?access_token="+w.reader, "", "").want(t, 401, "no_token")
	// Two answers to who asks are none.
	a := w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "", "Authorization", "Bearer "+w.writer)
	a.want(t, 400, "invalid_request")
	w.ask("GET", "/-/api/v1/secrets/API_KEY", "", "", "Authorization", "bearer "+w.reader).want(t, 200, "")
	if strings.Contains(w.log.String(), w.reader) {
		t.Error("the host's log has a token")
	}
}

// A token opens what its client was granted, until it is revoked.
func TestTokenOfAnotherClientAndRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ask("GET", "/-/api/v1/secrets/ENV_KEY", w.writer, "").want(t, 403, "not_declared")
	w.refusal("another client's secret", "writer")
	w.ask("GET", "/-/api/v1/secrets/DEMO_KEY?actor=root", w.reader, "").want(t, 403, "not_declared")
	w.refusal("a plugin's secret", "reader")
	ok(t, w.vault.RevokeClient(context.Background(), root, "reader"))
	w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "").want(t, 401, "invalid_token")
	w.refusal("revoked", "")
	w.ask("GET", "/-/api/v1/secrets/API_KEY", w.writer, "").want(t, 200, "")
}

// Whoever guesses is locked out, and those who were let in before are not.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.client("other", false, "API_KEY")
	wrong := newWorld(t).reader // well made, and unknown here
	w.ask("GET", "/-/api/v1/client", w.reader, "").want(t, 200, "")
	before := w.entries(1)[0].ID
	for range 9 {
		w.ask("GET", "/-/api/v1/client", wrong, "").want(t, 401, "invalid_token")
	}
	a := w.ask("GET", "/-/api/v1/client", wrong, "").want(t, 429, "locked_out")
	if a.Header.Get("Retry-After") != "60" {
		t.Errorf("got %v", a.Header)
	}
	if after := w.entries(1)[0].ID; after != before+10 {
		t.Errorf("%d guesses are recorded, want 10", after-before)
	}
	// A right token that nobody showed from there before tells a guesser nothing.
	w.ask("GET", "/-/api/v1/client", other, "").want(t, 429, "locked_out")
	w.ask("GET", "/-/api/v1/client", w.reader, "").want(t, 200, "")
	w.sleep(time.Minute)
	w.ask("GET", "/-/api/v1/client", other, "").want(t, 200, "")
	for range 10 {
		w.ask("GET", "/-/api/v1/client", "dssc_", "")
	}
	if a := w.ask("GET", "/-/api/v1/client", wrong, "").want(t, 429, "locked_out"); a.Header.Get("Retry-After") != "120" {
		t.Errorf("the second time: got %v", a.Header)
	}
}

// Strangers neither fill the log nor the memory, however many addresses they
// have.
func TestFloodOfStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.entries(1)[0].ID
	for i := range 1000 {
		r := httptest.NewRequest("GET", "https://host/-/api/v1/client", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8:%x::1]:1234", i)
		r.Header.Set("Authorization", "Bearer dssc_guess")
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := w.entries(1)[0].ID - before; n != 200 {
		t.Errorf("%d refusals are recorded, want 200", n)
	}
	w.sleep(time.Second)
	w.ask("GET", "/-/api/v1/client", "dssc_guess", "").want(t, 401, "invalid_token")
	if e := w.entries(1)[0]; !strings.Contains(e.Reason, "800 more requests") {
		t.Errorf("the log has %+v", e)
	}
}

// All of a household's IPv6 addresses are one.
func TestLockoutOfNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(remote string) int {
		r := httptest.NewRequest("GET", "https://host/-/api/v1/client", nil)
		r.RemoteAddr = remote
		r.Header.Set("Authorization", "Bearer dssc_guess")
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, r)
		return recorder.Code
	}
	for i := range 10 {
		ask(fmt.Sprintf("[2001:db8::%x]:1", i+1))
		ask(fmt.Sprintf("[::ffff:192.0.2.1]:%d", i+1))
	}
	for remote, want := range map[string]int{"[2001:db8::ffff]:1": 429, "[2001:db8:0:1::1]:1": 401, "192.0.2.1:9": 429, "192.0.2.2:9": 401} {
		if got := ask(remote); got != want {
			t.Errorf("%s: got %d, want %d", remote, got, want)
		}
	}
}

// Headers of a proxy that nobody set up are not believed.
func TestPlainHTTPFromAnotherMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, remote string
		proxied     bool
		want        int
	}{
		"plain":            {"http://host", "192.0.2.1:1", false, 403},
		"private":          {"http://host", "10.0.0.1:1", false, 403},
		"no address":       {"http://host", "", false, 403},
		"TLS":              {"https://host", "192.0.2.1:1", false, 200},
		"this machine":     {"http://host", "127.0.0.1:1", false, 200},
		"this machine's 6": {"http://host", "[::1]:1", false, 200},
		"mapped":           {"http://host", "[::ffff:127.0.0.1]:1", false, 200},
		"a proxy":          {"http://host", "192.0.2.1:1", true, 200},
	} {
		w := newWorld(t, func(cfg *api.Config) { cfg.TLS = c.proxied })
		r := httptest.NewRequest("GET", c.url+"/-/api/v1/secrets/API_KEY", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("Authorization", "Bearer "+w.reader)
		for _, header := range []string{"X-Forwarded-For", "X-Real-Ip"} {
			r.Header.Set(header, "127.0.0.1")
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, r)
		if recorder.Code != c.want || c.want != 200 && strings.Contains(recorder.Body.String(), canary) {
			t.Errorf("%s: got %d %s", name, recorder.Code, recorder.Body)
		}
	}
}

// Paths mean what they say, or nothing.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, status := range map[string]int{
		"/-/api/v1/../v1/secrets/API_KEY":                404,
		"/-/api/v1/./secrets/API_KEY":                    404,
		"/-/api/v1//secrets/API_KEY":                     404,
		"/-/api/v1/secrets/API_KEY/":                     404,
		"/-/api/v1/secrets//API_KEY":                     404,
		"/-/api/v1/secrets/x/../API_KEY":                 404,
		"/-/api/v1/secrets/x%2F..%2FAPI_KEY":             403,
		"/-/api/v1/secrets/..%2FAPI_KEY":                 403,
		"/-/api/v1/secrets/..":                           403,
		"/-/api/v1/secrets/%2e%2e":                       403,
		"/-/api/v1/secrets/%2E%2E%2Fsecrets":             403,
		"/-/api/v1/secrets/DEMO%5FKEY":                   403,
		"/-/api/v1/secrets/%2544EMO_KEY":                 403,
		"/-/api/v1/secrets/API_KEY%00":                   403,
		"/-/api/v1/secrets/API_KEY%20":                   403,
		"/-/api/v1/secrets/API_KEY;x=1":                  403,
		"/-/api/v1/secrets/api_key":                      403,
		"/-/api/v1/secrets/API_KEY%0d%0aX-Evil:%20":      403,
		"/-/api/v1/secrets/%ff":                          400,
		"/-/api/v1/%73ecrets/API_KEY":                    404,
		"/-/api/v2/secrets/API_KEY":                      404,
		"/-/api/v1/secrets/API_KEY?actor=a&actor=b":      400,
		"/-/api/v1/secrets/API_KEY?actor=":               400,
		"/-/api/v1/secrets/API_KEY?actor=a;b=c":          400,
		"/-/api/v1/secrets/API_KEY?name=DEMO_KEY":        400,
		"/-/api/v1/secrets/API_KEY?%zz":                  400,
		"/-/api/v1/secrets/" + strings.Repeat("A", 8000): 403,
	} {
		answer := w.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + w.reader + "\r\n\r\n")
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) || strings.Contains(answer, canary) || strings.Contains(answer, "X-Evil") {
			t.Errorf("%.80s: got %.200s, want %d", path, answer, status)
		}
		w.refusal(path, "reader")
	}
	// The whole address on the request line is the same as the path alone.
	if answer := w.raw("GET http://evil/-/api/v1/secrets/DEMO_KEY HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + w.reader + "\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 403") {
		t.Errorf("got %s", answer)
	}
}

// An escaped path is what a pattern of each address says, and nothing else.
func FuzzAddress(f *testing.F) {
	for _, path := range []string{
		"", "/", "/-/api/v1", "/-/api/v1/", "/-/api/v1secrets", "/-/api/v1/secrets", "/-/api/v1/secrets/", "/-/api/v1/secrets/A",
		"/-/api/v1/secrets/A/", "/-/api/v1/secrets//", "/-/api/v1/secrets/A%2FB", "/-/api/v1/secrets/{name}", "/-/api/v1/client/A",
		"/shop/-/api/v1/client", "/shop/-/api/v1/secrets/..", "/shop/shop/-/api/v1/client", "/shop/-/api/v1/-/api/v1/client", "/shop-/api/v1/client",
		"-/api/v1/client", "*", "/-/api/v1/openapi.json", "/-/api/v1/openapi_json", "/-/api/v1/events\n",
	} {
		f.Add(path)
	}
	patterns := map[string]*regexp.Regexp{}
	for _, route := range api.Routes() {
		_, address, _ := strings.Cut(route, " ")
		patterns[address] = regexp.MustCompile(`\A(?:/shop)?/-/api/v1` + strings.ReplaceAll(regexp.QuoteMeta(address), `\{name\}`, `([^/]+)`) + `\z`)
	}
	f.Fuzz(func(t *testing.T, path string) {
		address, name := api.Find("/shop/", path)
		for other, pattern := range patterns {
			switch match := pattern.FindStringSubmatch(path); {
			case (match != nil) != (other == address):
				t.Errorf("%q is %q, and the pattern of %q says %v", path, address, other, match != nil)
			case len(match) > 1 && match[1] != name:
				t.Errorf("%q names %q, want %q", path, name, match[1])
			}
		}
	})
}

// A query is read as Go's own net/url reads it, and refused if it has another
// parameter.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "actor=a", "actor=a&actor=b", "actor=a%20b+c", "&&actor=a&", "actor", "=a", "ACTOR=a", "%61ctor=a", "actor=a;b=c", "actor=%zz", "x=1&%zz", "actor=a=b", "actor=%00%ff"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Count(raw, "&") > 1000 {
			return // net/url has a limit, the server that of its headers
		}
		want, wrong := url.ParseQuery(raw)
		for _, known := range []string{"", "actor"} {
			others := maps.Clone(want)
			if known != "" {
				delete(others, known)
			}
			got, err := api.Query(raw, known)
			if refuse := wrong != nil || len(others) > 0; (err != nil) != refuse || err != nil && !errors.Is(err, secrets.ErrInvalid) {
				t.Errorf("%q: got the error %v, and net/url has %v and %q", raw, err, wrong, want)
			} else if err == nil && !slices.Equal(got, want[known]) {
				t.Errorf("%q: got %q, want %q", raw, got, want[known])
			}
		}
	})
}

// A request that two programs could cut at different places is refused whole:
// what is hidden behind it is never a request of its own.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const hidden = "GET /-/api/v1/secrets/API_KEY HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n\r\n"
	begin := "POST /-/api/v1/can-access HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n"
	for name, request := range map[string]string{
		"both lengths":       begin + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"two lengths":        begin + "Content-Length: 2\r\nContent-Length: 90\r\n\r\n{}" + hidden,
		"a list of lengths":  begin + "Content-Length: 2, 2\r\n\r\n{}" + hidden,
		"a signed length":    begin + "Content-Length: +2\r\n\r\n{}" + hidden,
		"no length":          begin + "Content-Length: -1\r\n\r\n{}" + hidden,
		"chunked":            begin + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"odd chunks":         begin + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunked and again":  begin + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden,
		"space before colon": begin + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"folded":             begin + "X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + hidden,
		"two hosts":          strings.Replace(begin, "Host: x", "Host: x\r\nHost: y", 1) + "Content-Length: 0\r\n\r\n" + hidden,
		"a body of a GET":    "GET /-/api/v1/client HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
		"another protocol":   "GET /-/api/v1/client HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 3\r\n\r\nabc" + hidden,
		"a bare newline":     begin + "X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + hidden,
	} {
		// In the worst case a token is there: that of the victim whose request the
		// hidden one is.
		answer := w.raw(strings.ReplaceAll(request, "TOKEN", w.reader))
		first, _, _ := strings.Cut(answer, "\r\n")
		if !strings.HasPrefix(first, "HTTP/1.1 4") && !strings.HasPrefix(first, "HTTP/1.1 5") {
			t.Errorf("%s: the first answer is %q", name, first)
		}
		if strings.Contains(answer, canary) {
			t.Errorf("%s: the hidden request was answered:\n%s", name, answer)
		}
	}
}

// No header makes another method of a request, and no other one is taken.
func TestMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		w.ask("POST", "/-/api/v1/secrets/FRESH", w.writer, `{"value":"x"}`, header, "DELETE", "If-None-Match", "*").want(t, 400, "invalid_request")
		w.refusal(header, "writer")
	}
	for _, method := range []string{"PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "DELETE\tX", "PROPFIND"} {
		answer := w.raw(method + " /-/api/v1/secrets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + w.reader + "\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 4") || strings.Contains(answer, "API_KEY") {
			t.Errorf("%s: got %.200s", method, answer)
		}
	}
	if a := w.ask("PUT", "/-/api/v1/secrets/API_KEY", w.reader, "{}").want(t, 405, "method_not_allowed"); a.Header.Get("Allow") != "GET, POST, DELETE" {
		t.Errorf("got %v", a.Header)
	}
	if a := w.ask("HEAD", "/-/api/v1/secrets/API_KEY", w.reader, ""); a.StatusCode != 405 {
		t.Errorf("HEAD: got %d", a.StatusCode)
	}
}

// A page of another site that a browser shows can do nothing, not even ask
// whether it might.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.entries(1)[0].ID
	cookies := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Cookie", "ds_actor=x"}
	for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json"} {
		a := w.ask("POST", "/-/api/v1/secrets/FRESH", "", "", append(cookies, "Content-Type", contentType, "If-None-Match", "*")...)
		a.want(t, 401, "no_token")
	}
	a := w.ask("OPTIONS", "/-/api/v1/secrets/API_KEY", "", "", append(cookies, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")...)
	if a.StatusCode < 400 {
		t.Errorf("got %d", a.StatusCode)
	}
	a = w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "", cookies...)
	for header := range a.Header {
		if strings.HasPrefix(header, "Access-Control-") {
			t.Errorf("the answer has %s", header)
		}
	}
	for _, e := range w.entries(int(w.entries(1)[0].ID - before)) {
		if e.Allowed && e.Action != "get" {
			t.Errorf("the log has %+v", e)
		}
	}
}

func TestMalformedAndOversized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/-/api/v1/secrets/FRESH"
	for body, status := range map[string]int{
		`{`: 400, `{}`: 400, `[]`: 400, `"x"`: 400, `nul`: 400, `null`: 400, `{"value":null}`: 400, `{"value":1}`: 400, `{"value":""}`: 400,
		`{"value":"a","value":"b"}`: 400, `{"Value":"a"}`: 400, `{"value":"a","VALUE":"b"}`: 400, `{"value":"a","other":1}`: 400,
		`{"value":"a"} {"value":"b"}`: 400, `{"value":"a"}x`: 400, `{"value":"\ud800"}`: 400, `{"value":"\udc00\ud800"}`: 400,
		"{\"value\":\"\xff\"}": 400, `{"value":"a","note":"` + strings.Repeat("x", 101) + `"}`: 400,
		`{"value":{"value":{"value":"a"}}}`:                400,
		strings.Repeat("[", 100_000):                       400,
		`{"value":"` + strings.Repeat("x", 1<<20+1) + `"}`: 400,
		`{"value":"` + strings.Repeat("x", 7<<20) + `"}`:   413,
		`{"value":"\ud83d\ude00\\ud800 ` + "\u00fc" + `"}`: 201,
	} {
		a := w.ask("POST", path, w.writer, body, "If-None-Match", "*")
		if a.StatusCode != status || strings.Contains(a.body, "xxxx") {
			t.Errorf("%.60q: got %d %.200s, want %d", body, a.StatusCode, a.body, status)
		}
		if status >= 400 {
			w.refusal(body[:min(len(body), 60)], "writer")
		}
	}
	if v := w.ask("GET", path, w.writer, "").json(t); v["value"] != "😀\\ud800 ü" {
		t.Errorf("got %q", v["value"])
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/jsonp"} {
		r, err := http.NewRequest("POST", w.server.URL+"/-/api/v1/batch", strings.NewReader(`{"names":["API_KEY"]}`))
		ok(t, err)
		r.Header.Set("Authorization", "Bearer "+w.reader)
		r.Header.Set("Content-Type", contentType)
		response, err := w.server.Client().Do(r)
		ok(t, err)
		response.Body.Close()
		if response.StatusCode != 415 {
			t.Errorf("%q: got %d", contentType, response.StatusCode)
		}
	}
	w.ask("POST", "/-/api/v1/batch", w.reader, `{"names":["API_KEY"]}`, "Content-Encoding", "gzip").want(t, 400, "invalid_request")
	// A body that never comes is no reason to keep a goroutine: the server's own
	// limits end it. One that ends too early is refused.
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	ok(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /-/api/v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+w.reader+"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"names\":[")
	ok(t, err)
	ok(t, conn.(*net.TCPConn).CloseWrite())
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
		t.Errorf("got %s", answer)
	}
}

// One client cannot take all of the host.
func TestRateOfOneClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *api.Config) { cfg.Rate = 10 })
	before := w.entries(1)[0].ID
	for range 20 {
		w.ask("GET", "/-/api/v1/client", w.reader, "").want(t, 200, "")
	}
	for range 300 {
		if a := w.ask("GET", "/-/api/v1/secrets/API_KEY", w.reader, "").want(t, 429, "rate_limited"); a.Header.Get("Retry-After") != "1" {
			t.Errorf("got %v", a.Header)
		}
	}
	w.ask("GET", "/-/api/v1/client", w.writer, "").want(t, 200, "")
	if n := w.entries(1)[0].ID - before; n != 200 {
		t.Errorf("%d refusals are recorded, want 200", n)
	}
	w.sleep(time.Second)
	w.ask("GET", "/-/api/v1/client", w.reader, "").want(t, 200, "")
}

// event is one of a stream.
type event struct{ id, kind, data string }

// stream reads events until it ends.
func (w *world) stream(token string, headers ...string) (<-chan event, *http.Response) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/-/api/v1/events", nil)
	ok(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.server.Client().Do(r)
	ok(w.t, err)
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			key, text, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				e.id = text
			case "event":
				e.kind = text
			case "data":
				e.data = text
			case "":
				events <- e
				e = event{}
			}
		}
	}()
	return events, response
}

func next(t testing.TB, events <-chan event) event {
	t.Helper()
	select {
	case e, open := <-events:
		if !open {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("nothing comes")
		return event{}
	}
}

// Changes are told without values, go on after a lost connection, and end with
// the token.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	events, response := w.stream(w.reader)
	if response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %v", response.Header)
	}
	opened := next(t, events)
	w.put("API_KEY", canary+"2")
	updated := next(t, events)
	if opened.kind != "opened" || updated.kind != "updated" || updated.data != `{"name":"API_KEY","version":2}` {
		t.Errorf("got %+v, %+v", opened, updated)
	}
	again, _ := w.stream(w.reader, "Last-Event-ID", opened.id)
	if a, b := next(t, again), next(t, again); a.kind != "opened" || b != updated {
		t.Errorf("from the first on: got %+v, %+v", a, b)
	}
	lost, _ := w.stream(w.reader, "Last-Event-ID", "0123456789abcdef.7")
	if a, b := next(t, lost), next(t, lost); a.kind != "opened" || b.kind != "resync" {
		t.Errorf("from nowhere on: got %+v, %+v", a, b)
	}
	w.ask("GET", "/-/api/v1/events?name=DEMO_KEY", w.reader, "").want(t, 403, "not_declared")
	w.refusal("another's events", "reader")
	ok(t, w.vault.RevokeClient(context.Background(), root, "reader"))
	for _, stream := range []<-chan event{events, again, lost} {
		for e := range stream { // they end
			if e.kind == "updated" {
				t.Errorf("after it was revoked: %+v", e)
			}
		}
	}
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 16 {
		next(t, first(w.stream(w.reader)))
	}
	w.ask("GET", "/-/api/v1/events", w.reader, "").want(t, 429, "rate_limited")
	next(t, first(w.stream(w.writer)))
}

func first(events <-chan event, _ *http.Response) <-chan event { return events }

// What is read as JSON means the same to every program.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{`{"value":"a"}`, `{"value":"\ud83d\ude00","note":""}`, `[[[`, `{"value":{}}`, `{"value":"a"}]`, `null`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v struct {
			Value string `json:"value"`
			Note  string `json:"note"`
		}
		if err := api.ParseJSON(data, &v); err == nil && (strings.Contains(v.Value+v.Note, "\uFFFD") && !strings.Contains(strings.ToLower(string(data)), "fffd") && !strings.Contains(string(data), "\uFFFD")) {
			t.Errorf("%q was read as %q", data, v.Value)
		} else if err != nil && !strings.HasPrefix(err.Error(), secrets.ErrInvalid.Error()) {
			t.Errorf("%q: %v", data, err)
		}
	})
}
