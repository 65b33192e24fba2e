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

// question is what one caller asks for at once, one use or several. Callers at
// once share one transaction, which reads and records, and the decryption of a
// secret that several of them want: what each is told was read after it asked.
// Reading where it is recorded spares a second transaction, whose connection
// would find its pages outdated by the write before.
type question struct {
	uses  []use
	limit int   // bytes of all values together; 0 for any number
	err   error // why there is no answer at all
	kept  bool  // its uses and refusals are recorded
}

// use is the use of one secret, and what came of it.
type use struct {
	caller secrets.Caller
	act    act // as the log has it
	value  secrets.Value
	err    error // why there is no value
}

// newUse decides whether a secret may be used, and takes the value of one that
// is in the environment.
func (v *Vault) newUse(caller secrets.Caller, name string) use {
	u := use{caller: caller, act: act{action: ActionGet, name: name}}
	if u.act.reason, u.err = v.authorizeUse(caller, name); u.err != nil {
		return u
	}
	if value, ok := v.environment.Get(name); ok {
		u.value, u.act.source = value, SourceEnvironment
	}
	return u
}

// ask returns when the question is answered and that is recorded, or neither.
func (v *Vault) ask(ctx context.Context, q *question) error {
	if q.refused() {
		ctx = context.WithoutCancel(ctx) // who hangs up when refused is recorded all the same
	}
	if err := v.questions.Do(ctx, q); err != nil {
		return db.Interrupted("waiting for the other readers", err)
	}
	if q.err == nil && !q.kept {
		q.fail(errors.New("reading a secret was interrupted")) // by a panic on another goroutine
	}
	return q.err
}

// refused reports whether no use that is asked for is allowed.
func (q *question) refused() bool {
	return !slices.ContainsFunc(q.uses, func(u use) bool { return u.err == nil })
}

// answerAll answers questions in one transaction.
func (v *Vault) answerAll(ctx context.Context, all []*question) {
	readings := map[string]*reading{}
	err := v.commitUse(ctx, func(tx *db.Tx) error {
		for _, q := range all {
			if err := v.answer(tx, q, readings); err != nil {
				return err
			}
		}
		return nil
	})
	for _, q := range all {
		if q.kept = err == nil; err != nil {
			q.fail(err)
		}
	}
}

// answer reads what is asked for, unless it is among what was read already, and
// records every use and refusal. The error is one of the database.
func (v *Vault) answer(tx *db.Tx, q *question, readings map[string]*reading) error {
	size := 0
	for i := range q.uses {
		u := &q.uses[i]
		if u.reads() {
			r := readings[u.act.name]
			if r == nil {
				r = &reading{name: u.act.name}
				if err := v.readAndAdopt(tx, r); err != nil {
					return err
				}
				readings[r.name] = r
			}
			u.take(r)
		}
		if size += u.value.Len(); q.limit > 0 && size > q.limit {
			q.fail(fmt.Errorf("%w: the values are larger than %d bytes together; ask for fewer at once", secrets.ErrInvalid, q.limit))
			return nil
		}
	}
	for i := range q.uses {
		q.uses[i].record(tx)
	}
	return nil
}

// fail takes all values away.
func (q *question) fail(err error) {
	q.err = err
	for i := range q.uses {
		q.uses[i].value = secrets.Value{}
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

func (u *use) found() Found {
	return Found{Value: u.value, Source: u.act.source, Version: u.act.version}
}

// reading is the newest version of a secret, as it was read.
type reading struct {
	name string
	o    opened
	keys *keyring.Keyring // that opened it
	err  error
}

// readAndAdopt reads a secret, and keeps what opening it left to be kept. The
// error is one of the database, and not of the secret.
func (v *Vault) readAndAdopt(tx *db.Tx, r *reading) error {
	if err := v.readNewest(tx, r); err != nil || r.err != nil {
		return err
	}
	err := v.keepOpened(tx, r.keys, r.o)
	if err != nil && !errors.Is(err, secrets.ErrIntegrity) {
		return err
	}
	r.err, r.o.row.Encrypted = err, nil // large, and not needed any more
	return nil
}

// readNewest reads a secret. One that needs a key which the vault does not have
// is read again if there are new keys by now.
func (v *Vault) readNewest(tx *db.Tx, r *reading) error {
	keys, locked := v.ring()
	r.read(v, tx, keys, locked)
	if errors.Is(r.err, secrets.ErrIntegrity) {
		if now, err := v.newestRing(tx); err == nil && now != keys {
			r.read(v, tx, now, nil)
		}
		r.err = v.recordDamage(r.err)
	}
	if errors.Is(r.err, secrets.ErrUnavailable) {
		return r.err
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
