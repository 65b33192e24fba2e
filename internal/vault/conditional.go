package vault

import (
	"context"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// Condition says how a secret must stand for a client to write it, so that
// nobody overwrites what they did not see. The zero Condition is for a secret
// that must not be set.
type Condition struct {
	Any     bool  // it must be set, to whatever
	Version int64 // of the database; 0: it must not be set
}

// Conflict is an ErrInvalid: a secret does not stand as a Condition says.
type Conflict struct {
	Version int64 // of the database now; 0: it is not set
}

// Error implements error.
func (c *Conflict) Error() string {
	if c.Version == 0 {
		return "the secret is not set"
	}
	return fmt.Sprintf("the secret is set, and its version is %d", c.Version)
}

// Unwrap says what class of error this is.
func (c *Conflict) Unwrap() error { return secrets.ErrInvalid }

// check compares with the newest version of a secret.
func (c Condition) check(tx *db.Tx, name string) error {
	row, found, err := tx.Newest(name)
	if err != nil {
		return err
	}
	if !found || row.Deleted() {
		row.Version = 0
	}
	if c.Any && row.Version > 0 || !c.Any && row.Version == c.Version {
		return nil
	}
	return &Conflict{row.Version}
}

// authorizeWrite allows a client to write a secret.
func (v *Vault) authorizeWrite(caller secrets.Caller, name string) (reason string, err error) {
	if caller.Client == "" {
		return refuse(secrets.ErrDenied, "this way of writing is for clients")
	}
	reason, err = v.authorizeUse(caller, name)
	if err != nil {
		return reason, err
	}
	if !v.mayWrite(caller.Client) {
		return ErrReadOnly.Error(), ErrReadOnly
	}
	if _, err := v.ring(); err != nil {
		return err.Error(), err
	}
	return reason, nil
}

// ErrReadOnly is an ErrDenied: a client may read a secret, and not write it.
var ErrReadOnly = fmt.Errorf("%w: this client may only read", secrets.ErrDenied)

// PutIf is Put for a client that may write, if the secret stands as the
// condition says; otherwise it is a *Conflict. The version names the client as
// who made it, for the actor is only the client's word.
func (v *Vault) PutIf(ctx context.Context, caller secrets.Caller, name string, value secrets.Value, note string, c Condition) (version int64, err error) {
	reason, err := v.authorizeWrite(caller, name)
	if err != nil {
		return 0, v.refused(ctx, caller, act{action: ActionPut, name: name}, err)
	}
	if err := checkNote(note); err != nil {
		return 0, err
	}
	if err := checkValue(value); err != nil {
		return 0, err
	}
	if err := v.checkForm(name, value); err != nil {
		return 0, err
	}
	err = v.store(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		if err := c.check(tx, name); err != nil {
			return err
		}
		row := db.Row{Name: name, Note: note, CreatedBy: holderOf(caller)}
		version, err = v.add(tx, keys, row, value, caller, act{action: ActionPut, reason: reason})
		return err
	})
	return version, err
}

// DeleteIf is Delete for a client that may write, if the secret stands as the
// condition says; otherwise it is a *Conflict.
func (v *Vault) DeleteIf(ctx context.Context, caller secrets.Caller, name string, c Condition) error {
	reason, err := v.authorizeWrite(caller, name)
	if err != nil {
		return v.refused(ctx, caller, act{action: ActionDelete, name: name}, err)
	}
	return v.store(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		if err := c.check(tx, name); err != nil {
			return err
		}
		tombstone := db.Row{Name: name, CreatedBy: holderOf(caller), DeletedAt: tx.Now().Format(time.DateTime)}
		_, err := v.add(tx, keys, tombstone, secrets.NewValue(""), caller, act{action: ActionDelete, reason: reason})
		return err
	})
}

// Standing tells where the value of a secret would come from that the caller
// may use, and its version if that is the database. The source is empty if it
// is not set. It is no use of the secret, and leaves no trace.
func (v *Vault) Standing(ctx context.Context, caller secrets.Caller, name string) (source Source, version int64, err error) {
	if _, err := v.authorizeUse(caller, name); err != nil {
		return "", 0, err
	}
	var heads map[string]db.Head
	err = v.db.View(ctx, func(tx *db.Tx) error {
		heads, err = tx.Heads([]string{name})
		return err
	})
	if err != nil {
		return "", 0, err
	}
	source, version = v.standing(name, heads[name])
	return source, version, nil
}

func (v *Vault) standing(name string, head db.Head) (Source, int64) {
	version := head.Version
	if head.Deleted {
		version = 0
	}
	if _, ok := v.environment.Get(name); ok {
		return SourceEnvironment, version
	}
	if _, locked := v.ring(); version == 0 || locked != nil {
		return "", version
	}
	return SourceDatabase, version
}
