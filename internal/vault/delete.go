package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// Delete unsets a secret by adding a tombstone: a version that holds the empty
// text and says who deleted the secret when. Python's datasette-secrets, which
// does not look at that, reads the empty text. Older versions stay, and can be
// restored.
func (v *Vault) Delete(ctx context.Context, caller secrets.Caller, name string) error {
	reason, err := v.authorizeChange(caller, name)
	if err != nil {
		return v.refused(ctx, caller, act{action: ActionDelete, name: name}, err)
	}
	return v.store(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		if _, err := live(tx, name); err != nil {
			return err
		}
		tombstone := db.Row{Name: name, CreatedBy: caller.Actor.ID(), DeletedAt: tx.Now().Format(time.DateTime)}
		_, err := v.add(tx, keys, tombstone, secrets.NewValue(""), caller, act{action: ActionDelete, reason: reason})
		return err
	})
}

// Restore makes the value and note of an older version the newest version, and
// returns the new version's number.
func (v *Vault) Restore(ctx context.Context, caller secrets.Caller, name string, version int64) (newVersion int64, err error) {
	reason, err := v.authorizeChange(caller, name)
	if err != nil {
		return 0, v.refused(ctx, caller, act{action: ActionRestore, name: name, version: version}, err)
	}
	var o opened
	_, err = v.read(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		o, err = v.older(tx, keys, name, version)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := v.checkForm(name, o.value); err != nil {
		return 0, err
	}
	err = v.store(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		if err := v.keepOpened(tx, keys, o); err != nil {
			return err
		}
		// Encrypting anew proves that the value can still be read, and puts it
		// under the first key of the keyring.
		again := db.Row{Name: name, Note: o.row.Note, CreatedBy: caller.Actor.ID()}
		newVersion, err = v.add(tx, keys, again, o.value, caller, act{action: ActionRestore, reason: fmt.Sprintf("version %d; %s", version, reason)})
		return err
	})
	return newVersion, err
}

// older opens a version that can be restored: one with a value that is not the
// newest.
func (v *Vault) older(tx *db.Tx, keys *keyring.Keyring, name string, version int64) (opened, error) {
	row, found, err := tx.Version(name, version)
	if err != nil {
		return opened{}, distrust(db.Row{Name: name, Version: version}, err)
	}
	if !found {
		return opened{}, fmt.Errorf("%w: there is no version %d of %s", secrets.ErrNotFound, version, name)
	}
	o, err := v.open(tx, keys, row)
	if err != nil {
		return opened{}, err
	}
	if row.Deleted() {
		return opened{}, fmt.Errorf("%w: version %d records that the secret was deleted; choose another", secrets.ErrInvalid, version)
	}
	newest, _, err := tx.Newest(name)
	if errors.Is(err, secrets.ErrIntegrity) {
		return o, nil // restoring this one puts things right
	}
	// Where a newer version is gone, this one may be restored.
	if err == nil && newest.ID == row.ID && checkMark(tx, keys, newest) == nil {
		err = fmt.Errorf("%w: version %d is the current one", secrets.ErrInvalid, version)
	}
	return o, err
}
