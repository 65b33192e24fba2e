package vault

import (
	"context"
	"errors"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// use is one caller's Get, and what came of it. Callers at once share the
// transaction that reads, the decryption of a secret that several of them want,
// and the transaction that records: what each is told was read after it asked.
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
	v.readSome(ctx, readings)
	v.adoptRead(ctx, readings)
	some := false
	for _, u := range all {
		if u.reads() {
			u.take(byName[u.act.name])
		}
		some = some || u.recordable()
	}
	if !some {
		return
	}
	err := v.commitUse(ctx, func(tx *db.Tx) error {
		for _, u := range all {
			u.record(tx)
		}
		return nil
	})
	for _, u := range all {
		if err != nil {
			u.fail(err)
		}
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

// recordable reports whether there is something to record: a database that
// could not be read takes nothing either.
func (u *use) recordable() bool { return !errors.Is(u.err, secrets.ErrUnavailable) }

func (u *use) record(tx *db.Tx) {
	switch {
	case !u.recordable():
	case u.err != nil:
		refusal := u.act
		refusal.reason = u.err.Error()
		tx.Record(refusal.entry(u.caller, false))
	default:
		if u.act.row != 0 {
			tx.Touch(u.act.row, u.caller.Actor.ID())
		}
		record(tx, u.caller, u.act)
	}
}

// fail takes the value away from a use that could not be recorded.
func (u *use) fail(err error) {
	if !u.recordable() {
		return
	}
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

// readSome reads secrets of different names in one transaction. Those that need
// a key which the vault does not have are read again if there are new keys by
// now.
func (v *Vault) readSome(ctx context.Context, all []*reading) {
	for again := false; len(all) > 0; again = true {
		keys, err := v.ring()
		if err == nil {
			err = v.db.View(ctx, func(tx *db.Tx) error {
				for _, r := range all {
					r.o, r.err = v.newest(tx, keys, r.name)
					r.keys = keys
				}
				return nil
			})
		}
		var damaged []*reading
		for _, r := range all {
			if err != nil {
				r.o, r.err = opened{}, err
			}
			if errors.Is(r.err, secrets.ErrIntegrity) {
				damaged = append(damaged, r)
			}
		}
		if len(damaged) > 0 && !again && v.hasNewKeys(ctx, keys) {
			all = damaged
			continue
		}
		for _, r := range damaged {
			r.err = v.recordDamage(r.err)
		}
		return
	}
}

// adoptRead keeps what opening left to be kept, each for itself: it is done once
// in a row's life, and the others do not depend on it.
func (v *Vault) adoptRead(ctx context.Context, all []*reading) {
	for _, r := range all {
		if r.err != nil || r.o.ties == nil {
			continue
		}
		r.err = v.commit(ctx, func(tx *db.Tx) error { return v.keepOpened(tx, r.keys, r.o) })
	}
}
