package vault

import (
	"context"
	"fmt"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// Limits of what is stored.
const (
	MaxNote  = 100     // code points of a note
	MaxValue = 1 << 20 // bytes of a value
)

// Put stores value as the newest version of a secret, with a note of at most
// MaxNote code points, and returns the version's number. The caller must be
// signed in.
func (v *Vault) Put(ctx context.Context, caller secrets.Caller, name string, value secrets.Value, note string) (version int64, err error) {
	reason, err := v.authorizeChange(caller, name)
	if err != nil {
		return 0, v.refused(ctx, caller, act{action: ActionPut, name: name}, err)
	}
	if err := v.checkName(ctx, name); err != nil {
		return 0, err
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
		row := db.Row{Name: name, Note: note, CreatedBy: caller.Actor.ID()}
		version, err = v.add(tx, keys, row, value, caller, act{action: ActionPut, reason: reason})
		return err
	})
	return version, err
}

// store commits an act that adds a version, and wakes who watches for one.
func (v *Vault) store(ctx context.Context, act func(*db.Tx, *keyring.Keyring) error) error {
	err := v.commit(ctx, func(tx *db.Tx) error {
		// A key that another process put in front until a moment ago counts:
		// nothing is stored under the old one after a rotation has passed.
		keys, err := v.newestRing(tx)
		if err != nil {
			return err
		}
		return act(tx, keys)
	})
	if err == nil {
		v.noteChange()
	}
	return err
}

// Annotate changes the note of a secret's newest version, and reports whether
// it is another than before.
func (v *Vault) Annotate(ctx context.Context, caller secrets.Caller, name, note string) (changed bool, err error) {
	reason, err := v.authorizeChange(caller, name)
	if err != nil {
		return false, v.refused(ctx, caller, act{action: ActionNote, name: name}, err)
	}
	if err := checkNote(note); err != nil {
		return false, err
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		row, err := live(tx, name)
		if err != nil {
			return err
		}
		if changed = row.Note != note; changed {
			record(tx, caller, act{action: ActionNote, name: name, row: row.ID, version: row.Version, reason: reason})
		}
		return tx.SetNote(row.ID, note, caller.Actor.ID())
	})
	return changed, err
}

// live returns the newest version of a secret, or ErrNotSet if there is none or
// it is a tombstone.
func live(tx *db.Tx, name string) (db.Row, error) {
	row, found, err := tx.Newest(name)
	if err == nil && (!found || row.Deleted()) {
		err = secrets.ErrNotSet
	}
	return row, err
}

func checkNote(note string) error {
	if n := utf8.RuneCountInString(note); n > MaxNote {
		return fmt.Errorf("%w: the note has %d characters, at most %d are allowed", secrets.ErrInvalid, n, MaxNote)
	}
	if !utf8.ValidString(note) {
		return fmt.Errorf("%w: the note is not UTF-8 text", secrets.ErrInvalid)
	}
	return nil
}

func checkValue(value secrets.Value) error {
	if value.Len() == 0 {
		return fmt.Errorf("%w: the secret is empty; delete it instead", secrets.ErrInvalid)
	}
	if value.Len() > MaxValue {
		return fmt.Errorf("%w: the secret has %d bytes, at most %d are allowed", secrets.ErrInvalid, value.Len(), MaxValue)
	}
	if !utf8.ValidString(value.Reveal()) {
		return fmt.Errorf("%w: the secret is not UTF-8 text", secrets.ErrInvalid)
	}
	return nil
}
