package vault

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
)

// Unseal opens the sealed keyring with the first opening that does, and
// returns the name of the seal. What was tried is recorded, also in vain. Only
// one Unseal runs at a time.
//
// The errors are ErrDenied for a wrong passphrase or key, ErrSealed when
// nothing given belongs to a seal, ErrUnavailable and ErrIntegrity.
func (v *Vault) Unseal(ctx context.Context, caller secrets.Caller, openings []Opening) (string, error) {
	if err := v.authorizeKeys(caller); err != nil {
		return "", err
	}
	if caller.Actor.ID() == "" && caller.Proof != secrets.ProofLocal {
		return "", fmt.Errorf("%w: you must be signed in to unseal", secrets.ErrDenied)
	}
	v.unsealing.Lock()
	defer v.unsealing.Unlock()
	stored, err := v.sealed(ctx)
	if err != nil {
		return "", err
	}
	state, name, err := stored.state(ctx, openings)
	if err != nil {
		if len(openings) == 0 {
			return "", err
		}
		note := v.commit(ctx, func(tx *db.Tx) error { return recordKeyEvent(tx, caller, eventUnseal, name, err) })
		return "", errors.Join(err, note)
	}
	err = v.commit(ctx, func(tx *db.Tx) error { return recordKeyEvent(tx, caller, eventUnseal, name, nil) })
	if err != nil {
		return "", err
	}
	v.keys.Store(state)
	v.noteChange()
	_, _ = v.Adopt(ctx) // what this leaves out is adopted when it is read
	return name, nil
}

// state opens the root key and the keys.
func (s sealedKeyring) state(ctx context.Context, openings []Opening) (*keyState, string, error) {
	root, name, err := s.open(ctx, openings)
	if err != nil {
		return nil, name, err
	}
	ring, err := openKeys(root, s.keys)
	if err != nil {
		root.Wipe()
		return nil, name, err
	}
	return &keyState{ring: ring, root: root, rows: s.keys}, name, nil
}

// SealCheck is what became of trying one seal.
type SealCheck struct {
	SealInfo
	Tried bool          // something was given that could open it
	Err   error         // why it did not open the keys, if it was tried
	Took  time.Duration // that it took
}

// VerifySeals tries every seal with the openings that fit it, and changes
// nothing.
func (v *Vault) VerifySeals(ctx context.Context, caller secrets.Caller, openings []Opening) ([]SealCheck, error) {
	if err := v.authorizeOperator(caller); err != nil {
		return nil, err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return nil, err
	}
	var checks []SealCheck
	for _, one := range stored.seals {
		check := SealCheck{SealInfo: SealInfo{one.Name, seal.Kind(one.Kind), one.Parameters, one.CreatedAt, one.CreatedBy}}
		alone := sealedKeyring{seals: []db.Seal{one}, keys: stored.keys, notePIN: stored.notePIN}
		check.Tried = slices.ContainsFunc(openings, func(o Opening) bool { return o.fits(one) })
		if check.Tried {
			start := time.Now()
			ring, err := alone.openRing(ctx, openings)
			check.Took, check.Err = time.Since(start), err
			if err == nil {
				ring.Wipe()
			}
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// ExportKey returns one key of the sealed keyring as a configuration holds it.
// An empty name is the one that encrypts. It is recorded before it is
// returned.
func (v *Vault) ExportKey(ctx context.Context, caller secrets.Caller, openings []Opening, name string) (key secrets.Value, exported string, err error) {
	if err := v.authorizeOperator(caller); err != nil {
		return secrets.Value{}, "", err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return secrets.Value{}, "", err
	}
	ring, err := stored.openRing(ctx, openings)
	if err != nil {
		return secrets.Value{}, "", err
	}
	defer ring.Wipe()
	if name == "" {
		name = ring.Names()[0]
	}
	err = ring.UseKey(name, func(raw []byte) error {
		key = secrets.NewValue(base64.URLEncoding.EncodeToString(raw))
		return nil
	})
	if err != nil {
		return secrets.Value{}, "", err
	}
	err = v.commit(ctx, func(tx *db.Tx) error { return recordKeyEvent(tx, caller, eventExport, name, nil) })
	if err != nil {
		return secrets.Value{}, "", err
	}
	return key, name, nil
}

// LeaveSeals removes every seal and the sealed keys, so that the configured key
// counts again. configured is the keyring of that configuration: it must hold
// exactly the keys that are sealed.
func (v *Vault) LeaveSeals(ctx context.Context, caller secrets.Caller, openings []Opening, configured *keyring.Keyring) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return err
	}
	ring, err := stored.openRing(ctx, openings)
	if err != nil {
		return err
	}
	defer ring.Wipe()
	if err := ring.MustBeIn(configured); err != nil {
		return err
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		if err := stored.mustStay(tx); err != nil {
			return err
		}
		for _, key := range stored.keys {
			if err := tx.DeleteSealedKey(key.Name); err != nil {
				return err
			}
		}
		for _, one := range stored.seals {
			if err := tx.DeleteSeal(one.Name); err != nil {
				return err
			}
		}
		return recordKeyEvent(tx, caller, eventLeave, "", nil)
	})
	if err == nil {
		v.UseKeys(configured)
	}
	return err
}
