package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// use is one caller's Get, and what came of it. Callers at once share one
// transaction, which reads and records, and the decryption of a secret that
// several of them want: what each is told was read after it asked. Reading
// where it is recorded spares a second transaction, whose connection would find
// its pages outdated by the write before.
type use struct {
	caller secrets.Caller
	act    act // as the log has it
	value  secrets.Value
	err    error // why there is no value
}

// useAll reads what is allowed of uses, and records them all.
func (v *Vault) useAll(ctx context.Context, all []*use) {
	byName := map[string]*reading{}
	var readings []*reading
	for _, u := range all {
		if name := u.act.name; u.reads() && byName[name] == nil {
			byName[name] = &reading{name: name}
			readings = append(readings, byName[name])
		}
	}
	err := v.commitUse(ctx, func(tx *db.Tx) error {
		if err := v.readAndAdopt(tx, readings); err != nil {
			return err
		}
		for _, u := range all {
			if u.reads() {
				u.take(byName[u.act.name])
			}
			u.record(tx)
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, u := range all {
		u.fail(err)
	}
}

// reads reports whether the value is to be read from the database.
func (u *use) reads() bool { return u.err == nil && u.act.source == "" }

func (u *use) take(r *reading) {
	if u.err = r.err; r.err != nil {
		return
	}
	u.value, u.act.source = r.o.value, SourceDatabase
	u.act.row, u.act.version = r.o.row.ID, r.o.row.Version
}

func (u *use) record(tx *db.Tx) {
	if u.err != nil {
		refusal := u.act
		refusal.reason = u.err.Error()
		tx.Record(refusal.entry(u.caller, false))
		return
	}
	if u.act.row != 0 {
		tx.Touch(u.act.row, u.caller.Actor.ID())
	}
	record(tx, u.caller, u.act)
}

// fail takes the value away from a use that could not be recorded.
func (u *use) fail(err error) {
	if u.err != nil {
		err = fmt.Errorf("recording that %s was refused: %w", u.act.action, err)
	}
	u.value, u.err = secrets.Value{}, err
}

// reading is the newest version of a secret, as it was read.
type reading struct {
	name string
	o    opened
	keys *keyring.Keyring // that opened it
	err  error
}

// readAndAdopt reads secrets of different names, and keeps what opening them left
// to be kept. The error is one of the database, and not of a secret.
func (v *Vault) readAndAdopt(tx *db.Tx, all []*reading) error {
	if err := v.readAll(tx, all); err != nil {
		return err
	}
	for _, r := range all {
		if r.err != nil {
			continue
		}
		err := v.keepOpened(tx, r.keys, r.o)
		if err != nil && !errors.Is(err, secrets.ErrIntegrity) {
			return err
		}
		r.err = err
	}
	return nil
}

// readAll reads secrets of different names. Those that need a key which the
// vault does not have are read again if there are new keys by now.
func (v *Vault) readAll(tx *db.Tx, all []*reading) error {
	keys, err := v.ring()
	for _, r := range all {
		if r.read(v, tx, keys, err); errors.Is(r.err, secrets.ErrUnavailable) {
			return r.err
		}
	}
	damaged := slices.DeleteFunc(slices.Clone(all), func(r *reading) bool { return !errors.Is(r.err, secrets.ErrIntegrity) })
	if len(damaged) == 0 {
		return nil
	}
	if now, err := v.newestRing(tx); err == nil && now != keys {
		for _, r := range damaged {
			r.read(v, tx, now, nil)
		}
	}
	for _, r := range damaged {
		r.err = v.recordDamage(r.err)
	}
	return nil
}

// read opens the secret, unless there is a reason why there are no keys.
func (r *reading) read(v *Vault, tx *db.Tx, keys *keyring.Keyring, locked error) {
	r.o, r.err, r.keys = opened{}, locked, keys
	if locked == nil {
		r.o, r.err = v.newest(tx, keys, r.name)
	}
}
