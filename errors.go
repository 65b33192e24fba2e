package secrets

import (
	"errors"
	"fmt"
)

// The classes of error. Every error that leaves the vault is one of these
// (test with errors.Is) or an internal error. Each outside language has one
// table of them: HTTP status in internal/ui, gRPC code in internal/pluginwire,
// exit code in cmd/datasette-secrets.
var (
	// ErrInvalid: the request itself is wrong. Its message is meant for the
	// person who made the request, and never holds a value.
	ErrInvalid = errors.New("invalid request")

	// ErrDenied: the caller may not do this.
	ErrDenied = errors.New("permission denied")

	// ErrNotDeclared: a plugin asked for a secret that it did not declare. It
	// is the same answer whether or not such a secret exists, and is also
	// ErrDenied.
	ErrNotDeclared = fmt.Errorf("%w: secret not declared by this plugin", ErrDenied)

	// ErrNotApproved: a plugin asked for a secret that it declared, but an
	// administrator has not approved that. It is also ErrDenied.
	ErrNotApproved = fmt.Errorf("%w: an administrator has to approve this first", ErrDenied)

	// ErrNotFound: no such secret or version, and none may be made.
	ErrNotFound = errors.New("not found")

	// ErrNotSet: the secret is known but has no value.
	ErrNotSet = errors.New("secret is not set")

	// ErrNotConfigured: the host has no encryption key, so that nothing can be
	// stored or read from the database.
	ErrNotConfigured = errors.New("datasette-secrets has not been configured")

	// ErrSealed: the keys exist but are still sealed.
	ErrSealed = errors.New("host is sealed")

	// ErrIntegrity: a stored value cannot be decrypted with the keys at hand,
	// or is not what was stored.
	ErrIntegrity = errors.New("stored secret cannot be read with the configured keys")

	// ErrUnavailable: a resource is not there for now, such as a locked
	// database or a host that is stopping. Trying again later may help.
	ErrUnavailable = errors.New("temporarily unavailable")
)
