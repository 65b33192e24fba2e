package vault

import (
	"context"
	"errors"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// reading is one caller's wish for the newest version of a secret, and what
// came of it.
type reading struct {
	name string
	o    opened
	keys *keyring.Keyring // that opened it
	err  error
}

// stored opens the newest version of a secret, and returns the keys that did.
// Callers at once share transactions, and those who want the same secret also
// its decryption: each began to wait before it was read.
func (v *Vault) stored(ctx context.Context, name string) (opened, *keyring.Keyring, error) {
	r := &reading{name: name}
	if err := v.reads.Do(ctx, r); err != nil {
		return opened{}, nil, db.Interrupted("waiting for the other readers", err)
	}
	return r.o, r.keys, r.err
}

// readAll does readings in one transaction.
func (v *Vault) readAll(ctx context.Context, all []*reading) {
	done := map[string]*reading{}
	var mine []*reading // one for each name
	for _, r := range all {
		if done[r.name] == nil {
			done[r.name] = r
			mine = append(mine, r)
		}
	}
	v.readSome(ctx, mine)
	for _, r := range all {
		first := done[r.name]
		r.o, r.keys, r.err = first.o, first.keys, first.err
	}
}

// readSome does readings of different names. Those that need a key which the
// vault does not have are done again if there are new keys by now.
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
