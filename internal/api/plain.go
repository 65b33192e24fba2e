package api

import (
	"fmt"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// plain refuses, of a client, what different programs on the way could understand in
// different ways.
func (s *site) plain(r *request) error {
	for name, values := range r.Header { // in canonical form
		switch name {
		case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
			if strings.Join(values, "") != "" {
				return fmt.Errorf("%w: a header cannot ask for another method", secrets.ErrInvalid)
			}
		case "If-Match", "If-None-Match", "Content-Type", "Content-Encoding", "Last-Event-Id":
			if len(values) > 1 {
				return fmt.Errorf("%w: the header %s is there more than once", secrets.ErrInvalid, name)
			}
		}
	}
	if r.Header.Get("Content-Encoding") != "" {
		return fmt.Errorf("%w: the body must not be compressed", secrets.ErrInvalid)
	}
	if len(r.TransferEncoding) > 0 {
		return fmt.Errorf("%w: the body must have a Content-Length, and no Transfer-Encoding", secrets.ErrInvalid)
	}
	return nil
}

// checkBody refuses a body that is too large before it is read, and one where
// none belongs.
func (r *request) checkBody() error {
	switch {
	case r.limit == 0 && r.ContentLength != 0:
		return fmt.Errorf("%w: this request has a body, and must not", secrets.ErrInvalid)
	case r.ContentLength > r.limit:
		return errTooLarge(r.limit)
	case r.limit > 0 && !isJSON(r.Header.Get("Content-Type")):
		return errMediaType()
	}
	return nil
}

// secure reports whether nobody on the way reads along: TLS, a unix socket, or
// a program on this machine, which may be a proxy that speaks TLS.
func (s *site) secure(r *request) bool {
	if r.TLS != nil || s.TLS {
		return true
	}
	return isLocal(r)
}

// errTooLarge and its neighbours are what this package refuses by itself.
func errTooLarge(limit int64) error {
	return &problem{codeTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit)}
}

func errMediaType() error {
	return &problem{codeMediaType, "the body should be JSON, with the Content-Type application/json"}
}

func errNoSuchAddress() error { return &problem{codeNotFound, "there is nothing at this address"} }

func errMethod() error {
	return &problem{codeMethod, "this address does not answer that method"}
}

func errPrecondition() error {
	return &problem{codePreconditionRequired, "say how the secret stands: If-None-Match: * if it is not set, or If-Match with its ETag"}
}
