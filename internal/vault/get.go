package vault

import (
	"context"
	"fmt"

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

// Get returns the value of a secret to a plugin that declared it and was
// granted it. A value from the database counts as used by the caller's actor,
// and that is recorded before the value is returned; one from the environment
// leaves no trace.
//
// The errors are ErrNotDeclared, ErrNotApproved, ErrNotSet, ErrNotConfigured,
// ErrSealed, ErrIntegrity and ErrUnavailable.
func (v *Vault) Get(ctx context.Context, caller secrets.Caller, name string) (Found, error) {
	if err := v.authorizeUse(caller, name); err != nil {
		return Found{}, err
	}
	if value, ok := v.environment.Get(name); ok {
		return Found{Value: value, Source: SourceEnvironment}, nil
	}
	row, value, err := v.stored(ctx, name)
	if err != nil {
		return Found{}, err
	}
	err = v.commit(ctx, func(tx *db.Tx) error { return tx.Touch(row.ID, caller.Actor.ID()) })
	if err != nil {
		return Found{}, err
	}
	return Found{Value: value, Source: SourceDatabase, Version: row.Version}, nil
}

// stored reads and decrypts the newest version of a secret.
func (v *Vault) stored(ctx context.Context, name string) (db.Row, secrets.Value, error) {
	keys, err := v.ring()
	if err != nil {
		return db.Row{}, secrets.Value{}, err
	}
	row, err := v.newest(ctx, name)
	if err != nil {
		return db.Row{}, secrets.Value{}, err
	}
	value, err := decrypt(keys, row)
	return row, value, err
}

// newest returns the newest version of a secret, or ErrNotSet if there is none
// or it is a tombstone.
func (v *Vault) newest(ctx context.Context, name string) (row db.Row, err error) {
	err = v.db.View(ctx, func(tx *db.Tx) error {
		row, err = live(tx, name)
		return err
	})
	return row, err
}

func decrypt(keys *keyring.Keyring, row db.Row) (secrets.Value, error) {
	value, err := keys.Decrypt(row.KeyName, row.Encrypted)
	if err != nil {
		return secrets.Value{}, fmt.Errorf("decrypting version %d of %s: %w", row.Version, row.Name, err)
	}
	return value, nil
}

// CanAccess reports whether Get would be allowed, whether or not the secret is
// set. It leaves no trace.
func (v *Vault) CanAccess(_ context.Context, caller secrets.Caller, name string) (bool, error) {
	return v.authorizeUse(caller, name) == nil, nil
}

// Status is what a plugin may know of a secret that it declared without using
// it.
type Status struct {
	Name   string
	Set    bool
	Source Source // empty while not set
}

// Status returns the status of every secret that the calling plugin declared,
// in its order. One that it may not use is never set. It leaves no trace.
func (v *Vault) Status(ctx context.Context, caller secrets.Caller) ([]Status, error) {
	var all []Status
	declared := v.declarations.Load().plugins[caller.Plugin]
	err := v.db.View(ctx, func(tx *db.Tx) error {
		for _, d := range declared {
			if v.authorizeUse(caller, d.Name) != nil {
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
