package ui

import (
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// rootToken is the text that signs one browser in as root, once.
type rootToken struct {
	mu   sync.Mutex
	text string // empty: used, or there never was one
}

// use takes the token if text is it. used reports that there is none any more.
func (t *rootToken) use(text string) (ok, used bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == "" {
		return false, true
	}
	if subtle.ConstantTimeCompare([]byte(text), []byte(t.text)) != 1 {
		return false, false
	}
	t.text = ""
	return true, false
}

// authToken is the address that --root prints. Somebody who is root already
// does not use the token up: a reloaded tab must not lock others out.
func (s *site) authToken(w http.ResponseWriter, r *request) error {
	if r.caller.Actor.ID() == "root" {
		return s.redirect(w, r, s.url("/"))
	}
	if r.Method != http.MethodGet {
		return denied("Invalid token", "Open the address in a browser.") // a look must not use the token up
	}
	ok, used := s.root.use(r.URL.Query().Get("token"))
	if used {
		return denied("Root token has already been used", "It signs in one browser only. Stop the host and start it again with --root for a new one.")
	}
	if !ok {
		return denied("Invalid token", "Copy the whole address that the host printed when it was started with --root.")
	}
	signed, err := s.Signer.SignActor(secrets.NewActor("root"), time.Time{})
	if err != nil {
		return err
	}
	s.setCookie(w, r, actorCookie, signed)
	return s.redirect(w, r, s.url("/"))
}

// signInPage explains how to sign in, or says who is.
type signInPage struct {
	basePage
	SignedInAs  string
	Anonymous   bool
	RootEnabled bool
	HomeURL     string
	SecretsURL  string // empty: not allowed there
}

func (signInPage) file() string { return "signin.html" }

func (s *site) signIn(w http.ResponseWriter, r *request) error {
	page := signInPage{
		basePage:    s.page(r, "Sign in"),
		SignedInAs:  r.caller.Actor.Display(),
		Anonymous:   !r.signedIn(),
		RootEnabled: s.RootEnabled,
		HomeURL:     s.url("/"),
		SecretsURL:  s.secretsURLFor(r),
	}
	return s.show(w, r, page)
}

// logoutPage asks before logging out.
type logoutPage struct {
	basePage
	SignedInAs string
	Action     string
}

func (logoutPage) file() string { return "logout.html" }

func (s *site) confirmLogout(w http.ResponseWriter, r *request) error {
	if !r.signedIn() {
		return s.redirect(w, r, s.url("/"))
	}
	return s.show(w, r, logoutPage{s.page(r, "Log out"), r.caller.Actor.Display(), s.url("/-/logout")})
}

func (s *site) logout(w http.ResponseWriter, r *request) error {
	s.deleteCookie(w, r, actorCookie)
	r.flash(signing.Warning, "You are now logged out")
	return s.redirect(w, r, s.url("/"))
}
