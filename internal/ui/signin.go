package ui

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
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
	token := r.URL.Query().Get("token")
	ok, used := s.root.use(token)
	if used {
		return s.refusedSignIn(r, "Root token has already been used", "It signs in one browser only. Stop the host and start it again with --root for a new one.")
	}
	if !ok {
		return s.refusedSignIn(r, "Invalid token", "Copy the whole address that the host printed when it was started with --root.")
	}
	signed, err := s.Signer.SignActor(secrets.NewActor("root"), time.Time{})
	if err == nil {
		root := r.caller
		root.Actor, root.Proof = secrets.NewActor("root"), secrets.ProofSignedIn
		err = s.Vault.Note(r.Context(), root, vault.ActionSignIn, nil)
	}
	if err != nil {
		s.root.giveBack(token)
		return err
	}
	s.setCookie(w, r, actorCookie, signed)
	return s.redirect(w, r, s.url("/"))
}

// giveBack lets a token be used again that signed nobody in.
func (t *rootToken) giveBack(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = text
}

// refusedSignIn records that somebody had a wrong token, and returns what they
// are told. Not every guess is worth an entry: strangers would fill the log.
func (s *site) refusedSignIn(r *request, text, hint string) error {
	if s.guesses.AllowN(s.Now(), 1) {
		if err := s.Vault.Note(r.Context(), r.caller, vault.ActionSignIn, fmt.Errorf("%w: %s", secrets.ErrDenied, text)); !errors.Is(err, secrets.ErrDenied) {
			return err
		}
	}
	return denied(text, hint)
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
	if r.signedIn() {
		if err := s.Vault.Note(r.Context(), r.caller, vault.ActionSignOut, nil); err != nil {
			return err
		}
	}
	s.deleteCookie(w, r, actorCookie)
	r.flash(signing.Warning, "You are now logged out")
	return s.redirect(w, r, s.url("/"))
}
