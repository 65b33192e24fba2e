package vault

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Delete unsets a secret by adding a tombstone: a version that holds the empty
// text and says who deleted the secret when. Python's datasette-secrets, which
// does not look at that, reads the empty text. Older versions stay, and can be
// restored.
func (v *Vault) Delete(ctx context.Context, caller secrets.Caller, name string) error {
	if err := v.authorizeChange(caller); err != nil {
		return err
	}
	keys, err := v.ring()
	if err != nil {
		return err
	}
	token, keyName, err := keys.Encrypt(secrets.NewValue(""), v.now())
	if err != nil {
		return err
	}
	by := caller.Actor.ID()
	err = v.commit(ctx, func(tx *db.Tx) error {
		if _, err := live(tx, name); err != nil {
			return err
		}
		_, err := tx.InsertTombstone(db.Row{Name: name, Encrypted: token, KeyName: keyName, CreatedBy: by})
		return err
	})
	if err == nil {
		v.noteChange()
	}
	return err
}

// Restore makes the value and note of an older version the newest version, and
// returns the new version's number.
func (v *Vault) Restore(ctx context.Context, caller secrets.Caller, name string, version int64) (newVersion int64, err error) {
	if err := v.authorizeChange(caller); err != nil {
		return 0, err
	}
	row, err := v.older(ctx, name, version)
	if err != nil {
		return 0, err
	}
	keys, err := v.ring()
	if err != nil {
		return 0, err
	}
	value, err := decrypt(keys, row)
	if err != nil {
		return 0, err
	}
	if err := v.checkForm(name, value); err != nil {
		return 0, err
	}
	// Encrypting anew proves that the value can still be read, and puts it
	// under the first key of the keyring.
	return v.insert(ctx, caller, db.Row{Name: name, Note: row.Note}, value)
}

// older returns a version that can be restored: one with a value that is not
// the newest.
func (v *Vault) older(ctx context.Context, name string, version int64) (row db.Row, err error) {
	err = v.db.View(ctx, func(tx *db.Tx) error {
		found := false
		if row, found, err = tx.Version(name, version); err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: there is no version %d of %s", secrets.ErrNotFound, version, name)
		}
		if row.Deleted() {
			return fmt.Errorf("%w: version %d records that the secret was deleted; choose another", secrets.ErrInvalid, version)
		}
		newest, _, err := tx.Newest(name)
		if err == nil && newest.ID == row.ID {
			err = fmt.Errorf("%w: version %d is the current one", secrets.ErrInvalid, version)
		}
		return err
	})
	return row, err
}
