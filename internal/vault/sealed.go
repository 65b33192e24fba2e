package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
)

// Opening is something to try on the seals: means, and the name of the seal
// that they belong to. Without a name they are tried on every seal of their
// kind.
type Opening struct {
	Seal  string
	Means seal.Means
	// RetryPIN tries a seal although its token refused the PIN before: an
	// operator has corrected it.
	RetryPIN bool
}

func (o Opening) fits(s db.Seal) bool {
	return (o.Seal == "" || o.Seal == s.Name) && o.Means.Kind() == seal.Kind(s.Kind)
}

// sealedKeyring is what the database holds of seals and their keys at one
// moment.
type sealedKeyring struct {
	seals []db.Seal      // oldest first
	keys  []db.SealedKey // the encrypting one first

	// notePIN records whether the token of a seal took the PIN.
	notePIN func(ctx context.Context, seal string, refused bool) error
}

func (v *Vault) readSealed(ctx context.Context) (stored sealedKeyring, err error) {
	err = v.db.View(ctx, func(tx *db.Tx) error {
		stored, err = readSealedIn(tx)
		return err
	})
	stored.notePIN = v.notePIN
	return stored, err
}

// notePIN remembers a refused PIN in the database, so that also a host that is
// started again and again gives it to the token only once.
func (v *Vault) notePIN(ctx context.Context, seal string, refused bool) error {
	return v.commit(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if refused {
			return tx.RefusePIN(seal)
		}
		return tx.AcceptPIN(seal)
	})
}

func readSealedIn(tx *db.Tx) (stored sealedKeyring, err error) {
	if stored.seals, err = tx.Seals(); err != nil {
		return sealedKeyring{}, err
	}
	stored.keys, err = tx.SealedKeys()
	return stored, err
}

// sealed is readSealed for acts that need seals.
func (v *Vault) sealed(ctx context.Context) (sealedKeyring, error) {
	stored, err := v.readSealed(ctx)
	if err == nil && len(stored.seals) == 0 {
		err = fmt.Errorf("%w: the keys of this database are not sealed; seal them with: datasette-secrets seal init, or seal adopt if a key is configured", secrets.ErrInvalid)
	}
	return stored, err
}

func (s sealedKeyring) mustBeEmpty() error {
	if len(s.seals)+len(s.keys) > 0 {
		return fmt.Errorf("%w: the keys of this database are sealed already; add another seal with: datasette-secrets seal add", secrets.ErrInvalid)
	}
	return nil
}

// mustStay makes sure that nobody changed what an act was prepared for.
func (s sealedKeyring) mustStay(tx *db.Tx) error {
	now, err := readSealedIn(tx)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(s.seals, now.seals, sameSeal) || !slices.EqualFunc(s.keys, now.keys, sameKey) {
		return fmt.Errorf("%w: another process changed the keys or seals at the same time; nothing was done, try again", secrets.ErrUnavailable)
	}
	return nil
}

func (s sealedKeyring) mustHave(name string) error {
	if s.find(name) < 0 {
		return fmt.Errorf("%w: there is no seal %q; there are: %s", secrets.ErrNotFound, name, s.names())
	}
	return nil
}

func (s sealedKeyring) mayAdd(name string) error {
	if s.find(name) >= 0 {
		return fmt.Errorf("%w: there is a seal %q already; choose another --name, or change that one with: datasette-secrets seal rewrap", secrets.ErrInvalid, name)
	}
	if len(s.seals) >= maxSeals {
		return fmt.Errorf("%w: there are %d seals, and no more are allowed", secrets.ErrInvalid, len(s.seals))
	}
	return nil
}

func (s sealedKeyring) find(name string) int {
	return slices.IndexFunc(s.seals, func(one db.Seal) bool { return one.Name == name })
}

func (s sealedKeyring) kind(name string) seal.Kind { return seal.Kind(s.seals[s.find(name)].Kind) }

func (s sealedKeyring) names() string {
	var names []string
	for _, one := range s.seals {
		names = append(names, one.Name)
	}
	return strings.Join(names, ", ")
}

// open opens the root key with the first opening that does, and returns the
// name of the seal. The error tells about every try.
func (s sealedKeyring) open(ctx context.Context, openings []Opening) (*seal.Root, string, error) {
	var failures []error
	for _, opening := range openings {
		for _, one := range s.seals {
			if !opening.fits(one) {
				continue
			}
			root, err := s.try(ctx, one, opening)
			if err == nil {
				return root, one.Name, nil
			}
			failures = append(failures, err)
		}
	}
	if len(failures) == 0 {
		return nil, "", fmt.Errorf("%w: nothing was given that could open one of the seals %s", secrets.ErrSealed, s.names())
	}
	return nil, "", manyErrors(failures)
}

// try tries one opening on one seal. A PIN that was refused is not tried again
// until an operator says so.
func (s sealedKeyring) try(ctx context.Context, one db.Seal, opening Opening) (*seal.Root, error) {
	if one.PINRefusedAt != "" && !opening.RetryPIN {
		return nil, fmt.Errorf("the seal %q is not tried: %w at %s UTC; correct it, and then: datasette-secrets seal verify --retry-pin", one.Name, seal.ErrPIN, one.PINRefusedAt)
	}
	root, err := sealRecord(one).Open(ctx, opening.Means)
	if refused := errors.Is(err, seal.ErrPIN); refused || err == nil && one.PINRefusedAt != "" {
		if note := s.notePIN(ctx, one.Name, refused); note != nil {
			err = errors.Join(err, note)
		}
	}
	if err != nil && root != nil {
		root.Wipe()
	}
	return root, err
}

// openRing opens the keyring.
func (s sealedKeyring) openRing(ctx context.Context, openings []Opening) (*keyring.Keyring, error) {
	root, _, err := s.open(ctx, openings)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	return openKeys(root, s.keys)
}

// remake returns the records of the seals around a new root key.
func (s sealedKeyring) remake(ctx context.Context, openings []Opening, root *seal.Root) ([]seal.Record, error) {
	var records []seal.Record
	for _, one := range s.seals {
		means, err := s.proven(ctx, one, openings)
		if err != nil {
			return nil, fmt.Errorf("a new root key needs every seal: %w", err)
		}
		record, err := seal.Make(ctx, one.Name, means, root)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// proven returns the means that open a seal as it is.
func (s sealedKeyring) proven(ctx context.Context, one db.Seal, openings []Opening) (seal.Means, error) {
	alone := sealedKeyring{seals: []db.Seal{one}, notePIN: s.notePIN}
	failures := []error{}
	for _, opening := range openings {
		if !opening.fits(one) {
			continue
		}
		root, _, err := alone.open(ctx, []Opening{opening})
		if err == nil {
			root.Wipe()
			return opening.Means, nil
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 {
		return nil, fmt.Errorf("%w: nothing was given that could open the seal %q", secrets.ErrSealed, one.Name)
	}
	return nil, manyErrors(failures)
}

// rewrapKeys returns the rows of the keys around a new root key.
func (s sealedKeyring) rewrapKeys(root *seal.Root, ring *keyring.Keyring) ([]db.SealedKey, error) {
	rows := slices.Clone(s.keys)
	for i := range rows {
		err := ring.UseKey(rows[i].Name, func(key []byte) (err error) {
			rows[i].Wrapped, err = root.WrapKey(rows[i].Number, rows[i].Name, key)
			return err
		})
		if err != nil {
			return nil, err
		}
		rows[i].RootID = root.ID()
	}
	return rows, nil
}

// severalErrors is a few errors on one line.
type severalErrors []error

func (e severalErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e severalErrors) Unwrap() []error { return e }

// manyErrors joins errors; those that say the same are one.
func manyErrors(all []error) error {
	var different severalErrors
	for _, err := range all {
		if !slices.ContainsFunc(different, func(e error) bool { return e.Error() == err.Error() }) {
			different = append(different, err)
		}
	}
	if len(different) == 1 {
		return different[0]
	}
	return different
}
