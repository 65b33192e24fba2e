package vault

import (
	"context"
	"errors"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
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
	u := &use{caller: caller, act: act{action: ActionGet, name: name}}
	if u.act.reason, u.err = v.authorizeUse(caller, name); u.err != nil {
		ctx = context.WithoutCancel(ctx) // who hangs up when refused is recorded all the same
	} else if value, ok := v.environment.Get(name); ok {
		u.value, u.act.source = value, SourceEnvironment
	}
	if err := v.uses.Do(ctx, u); err != nil {
		return Found{}, db.Interrupted("waiting for the other readers", err)
	}
	if u.err == nil && u.act.source == "" {
		u.err = errors.New("reading a secret was interrupted") // by a panic on another goroutine
	}
	if u.err != nil {
		return Found{}, u.err
	}
	return Found{Value: u.value, Source: u.act.source, Version: u.act.version}, nil
}

// recordUse keeps what the use of a value leaves behind.
func (v *Vault) recordUse(tx *db.Tx, keys *keyring.Keyring, caller secrets.Caller, o opened, reason string) error {
	if err := v.keepOpened(tx, keys, o); err != nil {
		return err
	}
	tx.Touch(o.row.ID, caller.Actor.ID())
	record(tx, caller, act{
		action: ActionGet, name: o.row.Name, row: o.row.ID, version: o.row.Version,
		source: SourceDatabase, reason: reason,
	})
	return nil
}

func (o opened) found() Found {
	return Found{Value: o.value, Source: SourceDatabase, Version: o.row.Version}
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
