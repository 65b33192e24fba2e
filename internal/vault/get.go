package vault

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Source says where a value comes from.
type Source string

// The sources, in the order in which they are asked.
const (
	SourceEnvironment Source = "env"
	SourceDatabase    Source = "database"
)

// Found is the value of a secret, and where it comes from.
type Found struct {
	Value   secrets.Value
	Source  Source
	Version int64 // of a value from the database; 0 for any other
}

// Get returns the value of a secret to a plugin or client that may have it, on
// behalf of an actor who may have it used. That is recorded before the value is
// returned, and so is a refusal; a value from the database counts as used by the
// caller's actor.
//
// The errors are ErrDenied, ErrNotDeclared, ErrNotApproved, ErrNotSet, ErrNotConfigured,
// ErrSealed, ErrIntegrity and ErrUnavailable.
func (v *Vault) Get(ctx context.Context, caller secrets.Caller, name string) (Found, error) {
	q := question{uses: []use{v.newUse(caller, name)}}
	u := &q.uses[0]
	refused := q.refused()
	if err := v.ask(ctx, &q); err != nil {
		if refused {
			err = fmt.Errorf("recording that %s was refused: %w", u.act.action, err)
		}
		return Found{}, err
	}
	if u.err != nil {
		return Found{}, u.err
	}
	return u.found(), nil
}

// CanAccess reports whether Get would be allowed, by the same rules, whether or
// not the secret is set. It leaves no trace.
func (v *Vault) CanAccess(_ context.Context, caller secrets.Caller, name string) (bool, error) {
	_, err := v.authorizeUse(caller, name)
	return err == nil, nil
}

// Status is what a plugin may know of a secret that it declared without using
// it.
type Status struct {
	Name   string
	Set    bool
	Source Source // empty while not set
}

// Status returns the status of every secret that the calling plugin declared,
// in its order. One that is not for it is never set; on whose behalf it may be
// used does not matter here. It leaves no trace.
func (v *Vault) Status(ctx context.Context, caller secrets.Caller) ([]Status, error) {
	var all []Status
	declared := v.declarations.Load().plugins[caller.Plugin]
	err := v.db.View(ctx, func(tx *db.Tx) error {
		for _, d := range declared {
			if !v.MayHave(caller, d.Name) {
				all = append(all, Status{Name: d.Name})
				continue
			}
			source, err := v.sourceOf(tx, d.Name)
			if err != nil {
				return err
			}
			all = append(all, Status{Name: d.Name, Set: source != "", Source: source})
		}
		return nil
	})
	return all, err
}

func (v *Vault) sourceOf(tx *db.Tx, name string) (Source, error) {
	if _, ok := v.environment.Get(name); ok {
		return SourceEnvironment, nil
	}
	row, found, err := tx.Newest(name)
	if err != nil || !found || row.Deleted() || !v.Configured() {
		return "", err
	}
	return SourceDatabase, nil
}
