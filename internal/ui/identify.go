package ui

import (
	"net/http"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// request is an HTTP request and what is known about it.
type request struct {
	*http.Request
	path      string         // raw, without base_url
	caller    secrets.Caller // who asks
	hasCookie bool           // a ds_actor cookie was sent, so that logging out means something
	pending   []signing.Message
}

// signedIn reports whether anybody is.
func (r *request) signedIn() bool { return r.caller.Actor != nil }

// identify finds out who asks: a bearer token first, then the ds_actor cookie.
// A token that is recognised but wrong is refused even beside a good cookie.
// The request is returned with an error too, for the error page.
func (s *site) identify(hr *http.Request) (*request, error) {
	r := &request{Request: hr, path: rawPath(hr)}
	r.pending = s.Signer.Messages(cookie(hr, messagesCookie))
	signed := cookie(hr, actorCookie)
	r.hasCookie = signed != ""
	if token, ok := strings.CutPrefix(lastHeader(hr, "Authorization"), "Bearer "); ok && strings.HasPrefix(token, signing.TokenPrefix) {
		actor, err := s.tokenActor(token)
		r.caller = caller(actor, secrets.ProofToken)
		return r, err
	}
	if actor, ok := s.Signer.Actor(signed, s.Now()); ok {
		r.caller = caller(actor, secrets.ProofSignedIn)
	}
	return r, nil
}

// askPlugins asks the plugins that sign people in who sends a request, if
// nothing in it says so.
func (s *site) askPlugins(r *request) {
	if !r.signedIn() {
		r.caller = caller(s.Hooks.Sender(r.Context(), r.Method, r.path, r.Header), secrets.ProofVouched)
	}
}

func (s *site) tokenActor(token string) (secrets.Actor, error) {
	if !s.Settings.AllowSignedTokens {
		return nil, &tokenRefused{signing.ErrTokensDisabled}
	}
	actor, err := s.Signer.VerifyToken(token, s.Now(), s.Settings.MaxSignedTokensTTL)
	if err != nil {
		return nil, &tokenRefused{err}
	}
	return actor, nil
}

// tokenRefused is a bearer token that is ours and not valid. Its cause is
// written for whoever sent the token.
type tokenRefused struct{ cause error }

func (e *tokenRefused) Error() string { return e.cause.Error() }

func caller(actor secrets.Actor, proof secrets.Proof) secrets.Caller {
	if len(actor) == 0 {
		return secrets.Caller{}
	}
	return secrets.Caller{Actor: actor, Proof: proof}
}
