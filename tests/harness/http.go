package harness

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// Response is an answer with its body read.
type Response struct {
	*http.Response
	Text string
}

// Cookie returns the value of a cookie that the answer sets; ok is false if it
// does not set it.
func (r Response) Cookie(name string) (value string, ok bool) {
	for _, cookie := range r.Cookies() {
		if cookie.Name == name {
			value, ok = cookie.Value, true
		}
	}
	return value, ok
}

// Request is one request to a Process. Its zero value is GET / by nobody.
type Request struct {
	Method string // GET, or POST if there is a form
	Path   string // as it stands in the request line, query included
	Actor  secrets.Actor
	Cookie string // raw Cookie header, instead of Actor
	Form   url.Values
	Body   string // raw body, instead of Form
	Header map[string]string
}

// Do sends a request and reads the answer. It follows no redirect.
func (p *Process) Do(t testing.TB, r Request) Response {
	t.Helper()
	body, method := r.Body, r.Method
	if r.Form != nil {
		body = r.Form.Encode()
	}
	if method == "" && (r.Form != nil || r.Body != "") {
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, or(method, http.MethodGet), p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(or(r.Path, "/"), "?")
	request.URL.Path, err = url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.RawPath, request.URL.RawQuery = path, query // sent as they are
	if r.Form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.Actor != nil {
		request.Header.Set("Cookie", "ds_actor="+ActorCookie(t, r.Actor))
	}
	if r.Cookie != "" {
		request.Header.Set("Cookie", r.Cookie)
	}
	for name, value := range r.Header {
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	answer, err := client().Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, r.Path, err, p.Stderr)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return Response{answer, text.String()}
}

func client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}
}

// Get is Do for a page, as an actor.
func (p *Process) Get(t testing.TB, path string, actor secrets.Actor) Response {
	t.Helper()
	return p.Do(t, Request{Path: path, Actor: actor})
}

// SetSecret posts a value and note for a secret, as an actor.
func (p *Process) SetSecret(t testing.TB, name, value, note string, actor secrets.Actor) Response {
	t.Helper()
	return p.Do(t, Request{Path: "/-/secrets/" + name, Actor: actor, Form: url.Values{"secret": {value}, "note": {note}}})
}

// ActorCookie returns the ds_actor cookie of an actor, signed with Secret.
func ActorCookie(t testing.TB, actor secrets.Actor) string {
	t.Helper()
	cookie, err := signing.New(Secret).SignActor(actor, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}
