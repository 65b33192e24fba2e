package signing

import (
	"encoding/json"
	"errors"
	"time"
)

// actorTokenNamespace begins the namespace of actor tokens; the name of the
// plugin that is given the token ends it.
const actorTokenNamespace = "datasette-secrets.actor-for-plugin."

// SignActorToken returns the token that is handed to a plugin together with an
// actor. The plugin returns it to prove on whose behalf it asks. It is good
// for that plugin alone, and until expires, to the second. An actor without
// keys is nobody, for whom there is no token.
func (s Signer) SignActorToken(actor map[string]any, plugin string, expires time.Time) (string, error) {
	switch {
	case len(actor) == 0:
		return "", errors.New("signing an actor's token: nobody is signed in")
	case plugin == "":
		return "", errors.New("signing an actor's token: it must be for a plugin")
	case expires.IsZero():
		return "", errors.New("signing an actor's token: it must expire")
	}
	return s.Sign(actorTokenNamespace+plugin, map[string]any{"a": actor, "e": expires.Unix()})
}

// ReadActorToken returns the actor of a token that a plugin sent. The error is
// ErrBadSignature for what this host did not sign for this plugin, and
// ErrTokenExpired for what it did sign once.
func (s Signer) ReadActorToken(token, plugin string, now time.Time) (map[string]any, error) {
	if plugin == "" {
		return nil, ErrBadSignature
	}
	// Not a struct: encoding/json would take "A" for "a".
	var payload any
	if err := s.Unsign(actorTokenNamespace+plugin, token, &payload); err != nil {
		return nil, err
	}
	fields, _ := payload.(map[string]any)
	actor, _ := fields["a"].(map[string]any)
	expires, ok := fields["e"].(json.Number)
	if len(actor) == 0 || !ok {
		return nil, ErrBadSignature
	}
	seconds, err := expires.Int64()
	if err != nil {
		return nil, ErrBadSignature
	}
	if after(now, seconds) {
		return nil, ErrTokenExpired
	}
	return actor, nil
}
