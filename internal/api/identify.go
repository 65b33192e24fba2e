package api

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// identify finds out which client asks: by a bearer token of its own, and by
// nothing else that a request may carry.
func (s *site) identify(r *request) error {
	if !s.secure(r) {
		return &problem{codeInsecure, "this is plain HTTP from another machine, where others read the token: use https, or the unix socket of the host"}
	}
	token, err := bearer(r.Request)
	if err != nil {
		return err
	}
	client, err := s.Vault.ClientOf(token)
	if wait := s.lockout.shown(r.addr, client, err == nil); wait > 0 {
		return lockedOut(wait)
	}
	if err != nil {
		return &problem{codeInvalidToken, reason(err)}
	}
	r.caller.Client, r.token = client, token
	s.Vault.NoteClient(r.Context(), client)
	return nil
}

func lockedOut(wait time.Duration) error {
	return &later{
		problem: problem{codeLockedOut, fmt.Sprintf("too many wrong tokens came from this address; it is locked out for %s", wait.Round(time.Second))},
		wait:    wait,
	}
}

// bearer is the token of a request.
func bearer(r *http.Request) (string, error) {
	headers := r.Header["Authorization"]
	if len(headers) > 1 {
		return "", fmt.Errorf("%w: the header Authorization is there more than once", secrets.ErrInvalid)
	}
	scheme, token, _ := strings.Cut(strings.Join(headers, ""), " ") // of one or none
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", &problem{codeNoToken, "send a client token: Authorization: Bearer dssc_…"}
	}
	return token, nil
}

// reason is the message of an ErrDenied without the name of its class.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), secrets.ErrDenied.Error()+": ")
}

// isLocal reports whether a request came over a unix socket, or from this
// machine.
func isLocal(r *request) bool {
	if r.addr.Unmap().IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
