package ui

import (
	"net/http"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// The cookies that Datasette has too.
const (
	actorCookie    = "ds_actor"
	messagesCookie = "ds_messages"
)

// cookie returns the value of a cookie: of several with one name the last, and
// without the quotes around it, as Datasette reads them.
func cookie(r *http.Request, name string) string {
	value := ""
	for _, line := range r.Header.Values("Cookie") {
		for part := range strings.SplitSeq(line, ";") {
			if key, text, ok := strings.Cut(strings.TrimSpace(part), "="); ok && key == name {
				value = unquoteCookie(text)
			}
		}
	}
	return value
}

func unquoteCookie(text string) string {
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		return text[1 : n-1]
	}
	return text
}

// setCookie sets a cookie until the browser closes. value is a signed value,
// whose letters need no quoting. Path is "/" whatever base_url is, so that
// Datasette behind the same name reads the cookie too.
func (s *site) setCookie(w http.ResponseWriter, r *request, name, value string) {
	w.Header().Add("Set-Cookie", name+"="+value+s.cookieAttributes(r))
}

// deleteCookie makes the browser forget a cookie.
func (s *site) deleteCookie(w http.ResponseWriter, r *request, name string) {
	expires := s.Now().UTC().Format(http.TimeFormat)
	w.Header().Add("Set-Cookie", name+`=""; expires=`+expires+"; Max-Age=0"+s.cookieAttributes(r))
}

func (s *site) cookieAttributes(r *request) string {
	if s.secure(r.Request) {
		return "; Path=/; HttpOnly; SameSite=lax; Secure"
	}
	return "; Path=/; HttpOnly; SameSite=lax"
}

// flash adds a message for the next page that is rendered.
func (r *request) flash(kind int, text string) {
	r.pending = append(r.pending, signing.Message{Text: text, Type: kind})
}

// keepMessages sends the pending messages on with a response that shows none.
func (s *site) keepMessages(w http.ResponseWriter, r *request) error {
	if len(r.pending) == 0 {
		return nil
	}
	signed, err := s.Signer.SignMessages(r.pending)
	if err != nil {
		return err
	}
	s.setCookie(w, r, messagesCookie, signed)
	return nil
}
