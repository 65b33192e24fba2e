package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// code is a word for a class of error that stays the same: programs go by it.
type code string

// The codes.
const (
	codeInvalid              code = "invalid_request"
	codeNoToken              code = "no_token"
	codeInvalidToken         code = "invalid_token"
	codeDenied               code = "denied"
	codeNotDeclared          code = "not_declared"
	codeNotApproved          code = "not_approved"
	codeReadOnly             code = "read_only"
	codeInsecure             code = "insecure"
	codeNotFound             code = "not_found"
	codeNotSet               code = "not_set"
	codeMethod               code = "method_not_allowed"
	codePreconditionFailed   code = "precondition_failed"
	codeTooLarge             code = "too_large"
	codeMediaType            code = "unsupported_media_type"
	codePreconditionRequired code = "precondition_required"
	codeRateLimited          code = "rate_limited"
	codeLockedOut            code = "locked_out"
	codeInternal             code = "internal"
	codeIntegrity            code = "integrity"
	codeNotConfigured        code = "not_configured"
	codeSealed               code = "sealed"
	codeUnavailable          code = "unavailable"
)

// status is the status of each code.
func (c code) status() int {
	switch c {
	case codeInvalid:
		return http.StatusBadRequest
	case codeNoToken, codeInvalidToken:
		return http.StatusUnauthorized
	case codeDenied, codeNotDeclared, codeNotApproved, codeReadOnly, codeInsecure:
		return http.StatusForbidden
	case codeNotFound, codeNotSet:
		return http.StatusNotFound
	case codeMethod:
		return http.StatusMethodNotAllowed
	case codePreconditionFailed:
		return http.StatusPreconditionFailed
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeMediaType:
		return http.StatusUnsupportedMediaType
	case codePreconditionRequired:
		return http.StatusPreconditionRequired
	case codeRateLimited, codeLockedOut:
		return http.StatusTooManyRequests
	case codeNotConfigured, codeSealed, codeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// codes are all of them.
func codes() []code {
	return []code{
		codeInvalid, codeNoToken, codeInvalidToken, codeDenied, codeNotDeclared, codeNotApproved, codeReadOnly,
		codeInsecure, codeNotFound, codeNotSet, codeMethod, codePreconditionFailed, codeTooLarge, codeMediaType,
		codePreconditionRequired, codeRateLimited, codeLockedOut, codeInternal, codeIntegrity, codeNotConfigured,
		codeSealed, codeUnavailable,
	}
}

// Statuses returns the codes of errors, and the status of each.
func Statuses() map[string]int {
	all := map[string]int{}
	for _, c := range codes() {
		all[string(c)] = c.status()
	}
	return all
}

// class is a row of the one table from errors to codes.
type class struct {
	sentinel error
	code     code
	// text is what clients read. When it is empty they read the error's own
	// message: it was written for them.
	text string
}

// classes is ordered: an error that is two of them is the first.
func classes() []class {
	return []class{
		{vault.ErrReadOnly, codeReadOnly, "this client may only read"},
		{vault.ErrTooManyWatchers, codeRateLimited, "this client has too many streams of events open"},
		{secrets.ErrInvalid, codeInvalid, ""},
		{secrets.ErrNotDeclared, codeNotDeclared, "this client was not granted a secret of this name, and did not declare it"},
		{secrets.ErrNotApproved, codeNotApproved, "an administrator has to approve first that this client reads the secret"},
		{secrets.ErrDenied, codeDenied, "this client, or the actor that it asks for, may not do this"},
		{secrets.ErrNotFound, codeNotFound, ""},
		{secrets.ErrNotSet, codeNotSet, "the secret is not set"},
		{secrets.ErrNotConfigured, codeNotConfigured, "this host has no encryption key"},
		{secrets.ErrSealed, codeSealed, "the keys of this host are still sealed"},
		{secrets.ErrUnavailable, codeUnavailable, "the database is busy or the host is stopping; try again in a moment"},
		{secrets.ErrIntegrity, codeIntegrity, "the stored secret cannot be read with the keys of this host, or is not what was stored"},
	}
}

// problem is an error that has a code and words of its own.
type problem struct {
	code code
	text string
}

// Error implements error.
func (p *problem) Error() string { return p.text }

// explain turns an error into a code and words. ok is false for an internal
// error, of which clients learn nothing.
func explain(err error) (p problem, ok bool) {
	if own := new(problem); errors.As(err, &own) {
		return *own, true
	}
	if conflict := new(vault.Conflict); errors.As(err, &conflict) {
		return problem{codePreconditionFailed, conflict.Error()}, true
	}
	for _, c := range classes() {
		if !errors.Is(err, c.sentinel) {
			continue
		}
		text := c.text
		if text == "" {
			_, text, _ = strings.Cut(err.Error(), c.sentinel.Error()+": ")
		}
		return problem{c.code, text}, true
	}
	return problem{codeInternal, "something went wrong inside this host; its log says more under the id of the request"}, false
}

// failure is an error as clients read it.
type failure struct {
	OK     bool   `json:"ok"`
	Code   code   `json:"code"`
	Error  string `json:"error"`
	Status int    `json:"status"`
	ID     string `json:"request_id"`
}

// fail is the only writer of error responses. What was refused before the vault
// was asked is recorded here; what the vault refused, it recorded.
func (s *site) fail(w *answer, r *request, err error) {
	if w.status != 0 {
		return // a stream that has begun ends
	}
	if wait := new(later); errors.As(err, &wait) {
		w.Header().Set("Retry-After", strconv.Itoa(wait.seconds()))
	}
	err = s.recordRefusal(r, err)
	p, known := explain(err)
	status := p.code.status()
	switch {
	case !known:
		s.Log.Error("request failed", "request", r.id, "method", r.Method, "client", r.caller.Client, "error", err)
	case status >= http.StatusInternalServerError:
		s.Log.Warn("request failed", "request", r.id, "method", r.Method, "client", r.caller.Client, "error", err)
	}
	h := w.Header()
	setForBrowsers(h)
	if conflict := new(vault.Conflict); errors.As(err, &conflict) && conflict.Version > 0 {
		h.Set("ETag", etag(conflict.Version))
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", challenge(p.code))
	}
	if untidy(status) || r.caller.Client == "" {
		h.Set("Connection", "close") // what was sent after it may be a part of it
	}
	writeJSON(w, status, encode(failure{false, p.code, p.text, status, r.id}))
}

// untidy reports whether a request of that status may not have ended where it
// seems to.
func untidy(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

func challenge(c code) string {
	if c == codeNoToken {
		return `Bearer realm="datasette-secrets"`
	}
	return `Bearer realm="datasette-secrets", error="invalid_token"`
}

// later is a refusal that ends by itself.
type later struct {
	problem
	wait time.Duration
}

// As lets errors.As find the problem.
func (l *later) As(target any) bool {
	p, ok := target.(**problem)
	if ok {
		*p = &l.problem
	}
	return ok
}

// seconds is how long to wait, at least one.
func (l *later) seconds() int { return max(1, int((l.wait+time.Second-1)/time.Second)) }

// encode writes JSON as a client in any language reads it.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("internal error: " + err.Error()) // our own types can be encoded
	}
	return b.Bytes()
}
