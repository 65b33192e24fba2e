package metrics

import (
	"context"
	"errors"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// class is a row of the one table from errors to the label "result".
type class struct {
	err   error
	label string
}

// classes is ordered: an error that is two of them is the first.
func classes() []class {
	return []class{
		{nil, "ok"},
		{secrets.ErrNotDeclared, "not-declared"},
		{secrets.ErrNotApproved, "not-approved"},
		{secrets.ErrDenied, "denied"},
		{secrets.ErrNotSet, "not-set"},
		{secrets.ErrNotFound, "not-found"},
		{secrets.ErrInvalid, "invalid"},
		{secrets.ErrNotConfigured, "not-configured"},
		{secrets.ErrSealed, "sealed"},
		{secrets.ErrIntegrity, "integrity"},
		{context.Canceled, "canceled"}, // before the next: it is why nothing was there
		{secrets.ErrUnavailable, "unavailable"},
	}
}

// result is the class of an error, in a word.
func result(err error) string {
	for _, c := range classes() {
		if err == c.err || c.err != nil && errors.Is(err, c.err) {
			return c.label
		}
	}
	return "internal"
}
