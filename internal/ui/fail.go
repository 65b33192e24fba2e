package ui

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// problem is an error that brings its own words for the person who sees it.
type problem struct {
	status int
	text   string // what happened
	hint   string // what to do about it; pages only
}

func (p *problem) Error() string { return p.text }

// class is a row of the one table from errors to HTTP.
type class struct {
	sentinel error
	status   int
	// text is what outsiders read. When it is empty they read the error's own
	// message: it was written for them.
	text string
}

// classes is ordered: an error that is two of them is the first.
func classes() []class {
	return []class{
		{secrets.ErrInvalid, http.StatusBadRequest, ""},
		{secrets.ErrNotDeclared, http.StatusForbidden, "Permission denied"},
		{secrets.ErrNotApproved, http.StatusForbidden, "Permission denied"},
		{secrets.ErrDenied, http.StatusForbidden, "Permission denied"},
		{secrets.ErrNotFound, http.StatusNotFound, ""},
		{secrets.ErrNotSet, http.StatusNotFound, ""},
		{secrets.ErrNotConfigured, http.StatusBadRequest, "datasette-secrets has not been configured"},
		{secrets.ErrSealed, http.StatusServiceUnavailable, "The encryption keys of this host are still sealed. Unseal it, then try again."},
		{secrets.ErrUnavailable, http.StatusServiceUnavailable, "The database is busy or the host is stopping. Nothing was changed; try again in a moment."},
		{secrets.ErrIntegrity, http.StatusInternalServerError, "The stored secret cannot be read with the configured keys. Was the encryption key changed?"},
	}
}

// explain turns an error into a status and words. ok is false for an internal
// error, of which outsiders learn nothing.
func explain(err error) (p problem, ok bool) {
	if own := new(problem); errors.As(err, &own) {
		return *own, true
	}
	for _, c := range classes() {
		if !errors.Is(err, c.sentinel) {
			continue
		}
		text := c.text
		if text == "" {
			text = sentence(err, c.sentinel)
		}
		return problem{status: c.status, text: text}, true
	}
	return problem{status: http.StatusInternalServerError}, false
}

// sentence is an error's own message without the name of its class in front.
func sentence(err, sentinel error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, sentinel.Error()+": "); ok {
		text = rest
	}
	return capitalize(text)
}

func capitalize(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if first != strings.ToLower(first) || text == "" {
		return text // a name stands there
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// fail is the only writer of error responses.
func (s *site) fail(w http.ResponseWriter, r *request, err error) {
	if refused := new(tokenRefused); errors.As(err, &refused) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		s.writeJSON(w, r, http.StatusUnauthorized, jsonError(refused.Error(), http.StatusUnauthorized))
		return
	}
	if foreign := new(foreignError); errors.As(err, &foreign) {
		s.showFailure(w, r, http.StatusForbidden, originPage{s.bare("CSRF check failed"), foreign.reason})
		return
	}
	p, known := explain(err)
	switch {
	case !known:
		p = s.internal(r, err)
	case p.status >= http.StatusInternalServerError:
		s.Log.Warn("request failed", "request", r.caller.RequestID, "method", r.Method, "path", escapeRaw(r.path), "error", err)
	}
	switch {
	case wantsJSON(r, p.status):
		s.writeJSON(w, r, p.status, jsonError(p.text, p.status))
	case errors.Is(err, secrets.ErrNotConfigured):
		writeBody(w, r, p.status, htmlType, []byte(p.text)) // the bare text is Datasette's
	case p.status == http.StatusForbidden:
		s.showFailure(w, r, p.status, s.forbidden(r, p))
	default:
		s.showFailure(w, r, p.status, failurePage{s.bare(errorTitle(p.status)), p.text, p.hint, s.url("/")})
	}
}

// internal logs what happened under a number that the page shows. The query is
// not logged: the one of /-/auth-token is a credential.
func (s *site) internal(r *request, err error) problem {
	id := incident()
	s.Log.Error("request failed", "incident", id, "request", r.caller.RequestID, "method", r.Method, "path", escapeRaw(r.path), "error", err)
	return problem{
		status: http.StatusInternalServerError,
		text:   "Something went wrong inside this host. It was written to its log as incident " + id + ".",
		hint:   "Nothing about the cause is shown here, because it could contain what must stay secret.",
	}
}

// incident makes a number that is easy to read out.
func incident() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// wantsJSON reports whether an error is to be JSON, as Datasette decides: by
// the path, and for a refusal also by what the client accepts or sends.
func wantsJSON(r *request, status int) bool {
	if strings.HasSuffix(r.path, ".json") {
		return true
	}
	return status == http.StatusForbidden &&
		(strings.Contains(r.Header.Get("Accept"), "application/json") || r.Header.Get("Content-Type") == "application/json")
}

func jsonError(text string, status int) object {
	return object{{"ok", false}, {"error", text}, {"errors", []string{text}}, {"status", status}}
}

func errorTitle(status int) string {
	if status == http.StatusForbidden {
		return "Forbidden"
	}
	return "Error " + strconv.Itoa(status)
}

// failurePage is the page of an error that knows nothing of the request.
type failurePage struct {
	basePage
	Text, Hint string
	HomeURL    string
}

func (failurePage) file() string { return "failure.html" }

// originPage is the page of a form that another site sent.
type originPage struct {
	basePage
	Reason string
}

func (originPage) file() string { return "origin.html" }

// forbiddenPage shows the way to sign in to who is not.
type forbiddenPage struct {
	basePage
	Text, Hint string
	SignIn     string // address; empty: somebody is signed in
}

func (forbiddenPage) file() string { return "forbidden.html" }

func (s *site) forbidden(r *request, p problem) forbiddenPage {
	page := forbiddenPage{basePage: s.page(r, "Forbidden"), Text: p.text, Hint: p.hint}
	if !r.signedIn() {
		page.SignIn = s.url("/-/sign-in")
	}
	return page
}

// denied is the error of a missing permission.
func denied(text, hint string) error {
	return &problem{status: http.StatusForbidden, text: text, hint: hint}
}
