package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// The words for what is done with keys, beside those of seals.
const (
	eventAddKey  = "key add"
	eventRotate  = "key rotate" // begun
	eventRotated = "key rotated"
	eventRetire  = "key retire"
)

// maxPasses bounds how often Rotate looks at all rows. Two are enough unless
// another program goes on storing rows under other keys.
const maxPasses = 10

// Rotation is what Rotate did.
type Rotation struct {
	Key     string   // the name of the key that rows are under by now
	Rows    int64    // that were looked at
	Renewed int64    // that were put under the key
	Damages int64    // rows that cannot be trusted, and stay as they are
	Damaged []Damage // at most 100 of them
}

// Rotate puts every version of every secret under the first key. Each token is
// opened, made anew with the same text and time, opened again and compared
// before it takes the place of the old one, in small transactions that other
// programs on the file hardly notice. An interrupted rotation leaves everything
// readable, and Rotate goes on where it was: a row says itself whether it is
// done.
//
// progress, which may be nil, is told how many rows of how many were looked at.
// Rows that cannot be trusted stay as they are, and make the error ErrIntegrity
// after all others are done.
func (v *Vault) Rotate(ctx context.Context, caller secrets.Caller, progress func(done, total int64)) (Rotation, error) {
	if err := v.authorizeOperator(caller); err != nil {
		return Rotation{}, err
	}
	if err := v.RefreshKeys(ctx); err != nil {
		return Rotation{}, err
	}
	keys, err := v.ring()
	if err != nil {
		return Rotation{}, err
	}
	var r Rotation
	err = v.commit(ctx, func(tx *db.Tx) error { return recordKeyEvent(tx, caller, eventRotate, keys.Names()[0], nil) })
	if err != nil {
		return r, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if err := v.rotate(ctx, &r, progress); err != nil {
		return r, err
	}
	var failure error
	if r.Damages > 0 {
		failure = fmt.Errorf("%w: %d of %d rows cannot be trusted, and stay as they are", secrets.ErrIntegrity, r.Damages, r.Rows)
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		if err := v.rewrapAllLogKeys(tx); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventRotated, r.Key, failure)
	})
	if err != nil {
		return r, err
	}
	return r, failure
}

// rotate goes over all rows until there is nothing left to do.
func (v *Vault) rotate(ctx context.Context, r *Rotation, progress func(done, total int64)) error {
	for range maxPasses {
		keys, err := v.ring()
		if err != nil {
			return err
		}
		if _, err := v.Adopt(ctx); err != nil {
			return err
		}
		r.Key = keys.Names()[0]
		pass := Rotation{}
		left := false
		err = v.walk(ctx, func(rows []db.Row, total int64) error {
			again, err := v.renewPage(ctx, keys, rows, &pass)
			left = left || again
			progress(pass.Rows, max(total, pass.Rows))
			return err
		})
		r.Rows, r.Damages, r.Damaged = pass.Rows, pass.Damages, pass.Damaged
		r.Renewed += pass.Renewed
		if errors.Is(err, errNewKeys) {
			continue
		}
		if err != nil || !left && pass.Renewed == 0 {
			return err
		}
		progress = func(int64, int64) {} // the next passes only make sure
	}
	return fmt.Errorf("%w: another program goes on storing secrets under other keys; give it the new key, then go on with: datasette-secrets key rotate --resume", secrets.ErrUnavailable)
}

// errNewKeys ends a pass: somebody put another key in front meanwhile.
var errNewKeys = errors.New("the keys were changed during a rotation")

// renewal is a row, and what it becomes.
type renewal struct {
	row     db.Row
	renewed *keyring.Renewed
}

// renewPage renews those rows of a page that need it. again tells that the page
// has to be looked at once more.
func (v *Vault) renewPage(ctx context.Context, keys *keyring.Keyring, rows []db.Row, pass *Rotation) (again bool, err error) {
	var todo []renewal
	var copies []db.Row
	for _, row := range rows {
		pass.Rows++
		renewed, err := v.renew(ctx, keys, row)
		if errors.Is(err, secrets.ErrIntegrity) && v.hasNewKeys(ctx, keys) {
			return true, errNewKeys
		}
		switch {
		case err != nil && !errors.Is(err, secrets.ErrIntegrity):
			return false, err
		case err != nil:
			pass.damage(row, v.recordDamage(err))
			if errors.Is(err, errCopied) {
				copies = append(copies, row)
			}
		case row.Binding == nil:
			again = true // it came after the others were adopted
		case renewed != nil:
			todo = append(todo, renewal{row, renewed})
		}
	}
	if len(todo)+len(copies) == 0 {
		return again, nil
	}
	began := time.Now()
	var n int64
	err = v.commit(ctx, func(tx *db.Tx) error {
		now, err := v.newestRing(tx)
		if err != nil {
			return err
		}
		if now != keys {
			return errNewKeys
		}
		if err := condemn(tx, copies); err != nil {
			return err
		}
		n, err = replaceAll(tx, keys, todo)
		return err
	})
	if err != nil {
		return again, err
	}
	pass.Renewed += n
	return again || n < int64(len(todo)), breathe(ctx, time.Since(began))
}

func (r *Rotation) damage(row db.Row, err error) {
	r.Damages++
	if len(r.Damaged) < maxDamages {
		r.Damaged = append(r.Damaged, Damage{Row: row.ID, Name: row.Name, Version: row.Version, Err: err})
	}
}

// renew returns what a row becomes, nil if it can stay or has to be adopted
// first.
func (v *Vault) renew(ctx context.Context, keys *keyring.Keyring, row db.Row) (renewed *keyring.Renewed, err error) {
	switch {
	case row.Unfit != nil:
		err = row.Unfit
	case row.Binding != nil:
		renewed, err = keys.Renew(place(row), row.Encrypted, row.Binding)
	default:
		err = v.db.View(ctx, func(tx *db.Tx) error {
			_, err := v.adoptable(tx, keys, row)
			return err
		})
	}
	if err != nil {
		return nil, distrust(row, err)
	}
	return renewed, nil
}

// replaceAll puts renewed rows in the place of the old ones, and returns how
// many. A row that somebody changed in between is left for the next time.
func replaceAll(tx *db.Tx, keys *keyring.Keyring, todo []renewal) (n int64, err error) {
	for _, t := range todo {
		replaced, err := tx.ReplaceToken(t.row, t.renewed.Token, t.renewed.KeyName)
		if err != nil {
			return n, err
		}
		if !replaced {
			continue
		}
		if err := tx.SetBinding(t.row.ID, t.renewed.Ties.Binding); err != nil {
			return n, err
		}
		newest, err := markedVersion(tx, keys, t.row.Name)
		if err != nil {
			return n, err
		}
		if newest == t.row.Version {
			if err := tx.SetMark(db.Mark{Name: t.row.Name, Version: newest, Code: t.renewed.Ties.Mark}); err != nil {
				return n, err
			}
		}
		n++
	}
	return n, nil
}

// breathe leaves the file to others for as long as it was just taken from them.
func breathe(ctx context.Context, took time.Duration) error {
	timer := time.NewTimer(min(max(took, time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// AddKey records that a key is added while add does it, under the write lock:
// what is stored after that is stored under the new key.
func (v *Vault) AddKey(ctx context.Context, caller secrets.Caller, name string, add func() error) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := recordKeyEvent(tx, caller, eventAddKey, name, nil); err != nil {
			return err
		}
		return add()
	})
}

// AddSealedKey puts a new key in front of a sealed keyring that is open, and
// returns its name. fill writes the key, 32 bytes; a nil fill makes a random
// one.
func (v *Vault) AddSealedKey(ctx context.Context, caller secrets.Caller, fill func(key []byte) error) (name string, err error) {
	if err := v.authorizeOperator(caller); err != nil {
		return "", err
	}
	state := v.keys.Load()
	if state.root == nil {
		return "", fmt.Errorf("%w: no sealed keyring is open", secrets.ErrSealed)
	}
	if fill == nil {
		fill = func(key []byte) error {
			rand.Read(key) // never fails: it ends the program instead
			return nil
		}
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		rows, err := tx.SealedKeys()
		if err != nil {
			return err
		}
		row := nextSealedKey(rows, state.root.ID(), caller.Actor.ID())
		name = row.Name
		one, err := keyring.New([]string{name}, func(_ int, key []byte) error { return fill(key) })
		if err != nil {
			return err
		}
		defer one.Wipe()
		err = one.UseKey(name, func(key []byte) error {
			row.Wrapped, err = state.root.WrapKey(row.Number, name, key)
			return err
		})
		if err != nil {
			return err
		}
		if err := tx.PutSealedKey(row); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventAddKey, name, nil)
	})
	if err != nil {
		return "", err
	}
	return name, v.RefreshKeys(ctx)
}

// nextSealedKey is the row of a key in front of the others, with a name that
// none of them has.
func nextSealedKey(rows []db.SealedKey, rootID, by string) db.SealedKey {
	next := db.SealedKey{Number: 1, RootID: rootID, CreatedBy: by}
	taken := map[string]bool{}
	for _, row := range rows {
		next.Number = max(next.Number, row.Number+1)
		taken[row.Name] = true
	}
	for n := next.Number; next.Name == "" || taken[next.Name]; n++ {
		next.Name = fmt.Sprintf("k%d", n)
	}
	return next
}
