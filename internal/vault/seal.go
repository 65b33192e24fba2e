package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
)

// maxSeals bounds how many seals a keyring has: a passphrase is tried on each.
const maxSeals = 16

// The words for what is done with keys and seals, as datasette_secrets_key_events
// has them.
const (
	eventInit   = "seal init"
	eventAdopt  = "seal adopt"
	eventAdd    = "seal add"
	eventRemove = "seal remove"
	eventRewrap = "seal rewrap"
	eventExport = "seal export-key"
	eventLeave  = "seal leave"
	eventUnseal = "unseal"
)

// SealInfo is what may be known of a seal. Times are UTC text.
type SealInfo struct {
	Name       string
	Kind       seal.Kind
	Parameters string // JSON, such as the mechanism of an HSM; nothing in it is secret
	CreatedAt  string
	CreatedBy  string
}

// Seals returns the seals of the database, oldest first. There are none while
// its keys are not sealed.
func (v *Vault) Seals(ctx context.Context, caller secrets.Caller) ([]SealInfo, error) {
	if err := v.authorizeKeys(caller); err != nil {
		return nil, err
	}
	stored, err := v.readSealed(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]SealInfo, len(stored.seals))
	for i, s := range stored.seals {
		all[i] = SealInfo{s.Name, seal.Kind(s.Kind), s.Parameters, s.CreatedAt, s.CreatedBy}
	}
	return all, nil
}

// HasSeals reports whether the database has a sealed keyring. It is for the
// start of a host, before anybody asks.
func (v *Vault) HasSeals(ctx context.Context) (bool, error) {
	stored, err := v.readSealed(ctx)
	return len(stored.seals) > 0, err
}

// InitSeal makes a sealed keyring in a database that holds no secrets yet: a
// root key, a first seal for it, and one random key.
func (v *Vault) InitSeal(ctx context.Context, caller secrets.Caller, name string, means seal.Means) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	if _, err := v.ring(); err == nil {
		return fmt.Errorf("%w: there is an encryption key already; seal that one with: datasette-secrets seal adopt", secrets.ErrInvalid)
	}
	ring, err := keyring.New([]string{keyring.DefaultName}, func(_ int, key []byte) error {
		rand.Read(key) // never fails: it ends the program instead
		return nil
	})
	if err != nil {
		return err
	}
	return v.install(ctx, caller, eventInit, name, means, ring)
}

// AdoptKeys makes a sealed keyring of the configured keys, so that the
// configuration does not have to hold them any more.
func (v *Vault) AdoptKeys(ctx context.Context, caller secrets.Caller, name string, means seal.Means) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	ring, err := v.ring()
	if err != nil {
		return err
	}
	return v.install(ctx, caller, eventAdopt, name, means, ring)
}

// install stores a new root key, its first seal and the keys of ring, in one
// transaction, and goes on with them.
func (v *Vault) install(ctx context.Context, caller secrets.Caller, event, name string, means seal.Means, ring *keyring.Keyring) error {
	stored, err := v.readSealed(ctx)
	if err == nil {
		err = stored.mustBeEmpty()
	}
	if err != nil {
		return err
	}
	root, err := seal.NewRoot()
	if err != nil {
		return err
	}
	record, err := seal.Make(ctx, name, means, root)
	if err != nil {
		return err
	}
	keys, err := wrapKeys(root, ring, caller.Actor.ID())
	if err != nil {
		return err
	}
	err = v.commit(ctx, func(tx *db.Tx) error {
		if err := mayInstall(tx, event); err != nil {
			return err
		}
		if err := putAll(tx, []seal.Record{record}, keys, caller); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, event, name, nil)
	})
	if err == nil {
		v.keys.Store(&keyState{ring: ring, root: root, rows: keys})
		v.noteChange()
	}
	return err
}

// mayInstall refuses to seal twice, and to make a key beside those that stored
// secrets need.
func mayInstall(tx *db.Tx, event string) error {
	stored, err := readSealedIn(tx)
	if err != nil {
		return err
	}
	if err := stored.mustBeEmpty(); err != nil || event != eventInit {
		return err
	}
	needed, err := tx.KeyNames()
	if err == nil && len(needed) > 0 {
		err = fmt.Errorf("%w: the database holds secrets already, and they need their key; configure it and seal it with: datasette-secrets seal adopt", secrets.ErrInvalid)
	}
	return err
}

// AddSeal adds another seal. The openings open one that is there.
func (v *Vault) AddSeal(ctx context.Context, caller secrets.Caller, openings []Opening, name string, means seal.Means) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return err
	}
	if err := stored.mayAdd(name); err != nil {
		return err
	}
	root, _, err := stored.open(ctx, openings)
	if err != nil {
		return err
	}
	defer root.Wipe()
	record, err := seal.Make(ctx, name, means, root)
	if err != nil {
		return err
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := stored.mustStay(tx); err != nil {
			return err
		}
		if err := tx.PutSeal(sealRow(record, caller)); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventAdd, name, nil)
	})
}

// RemoveSeal removes a seal, after the openings have opened another one.
func (v *Vault) RemoveSeal(ctx context.Context, caller secrets.Caller, openings []Opening, name string) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return err
	}
	if err := stored.mustHave(name); err != nil {
		return err
	}
	if len(stored.seals) == 1 {
		return fmt.Errorf("%w: %q is the last seal, without which nothing opens the keys; add another one first", secrets.ErrInvalid, name)
	}
	others := sealedKeyring{keys: stored.keys, notePIN: stored.notePIN, seals: slices.DeleteFunc(slices.Clone(stored.seals), func(s db.Seal) bool { return s.Name == name })}
	root, _, err := others.open(ctx, openings)
	if err != nil {
		return fmt.Errorf("a seal that stays has to be opened before %q is removed: %w", name, err)
	}
	root.Wipe()
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := stored.mustStay(tx); err != nil {
			return err
		}
		if err := errors.Join(tx.DeleteSeal(name), tx.AcceptPIN(name)); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventRemove, name, nil)
	})
}

// RewrapSeal makes one seal anew, with new means of the same kind: another
// passphrase, key or mechanism. The root key stays.
func (v *Vault) RewrapSeal(ctx context.Context, caller secrets.Caller, openings []Opening, name string, means seal.Means) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return err
	}
	if err := stored.mustHave(name); err != nil {
		return err
	}
	if kind := stored.kind(name); kind != means.Kind() {
		return fmt.Errorf("%w: the seal %q is of the kind %s; add a new one of the kind %s and remove it instead", secrets.ErrInvalid, name, kind, means.Kind())
	}
	root, _, err := stored.open(ctx, openings)
	if err != nil {
		return err
	}
	defer root.Wipe()
	record, err := seal.Make(ctx, name, means, root)
	if err != nil {
		return err
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := stored.mustStay(tx); err != nil {
			return err
		}
		if err := errors.Join(tx.PutSeal(sealRow(record, caller)), tx.AcceptPIN(name)); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventRewrap, name, nil)
	})
}

// ReplaceRoot makes a new root key, and wraps it for every seal and every key
// for it. It takes the means of every seal, each of which must open its seal as
// it is.
func (v *Vault) ReplaceRoot(ctx context.Context, caller secrets.Caller, openings []Opening) error {
	if err := v.authorizeOperator(caller); err != nil {
		return err
	}
	stored, err := v.sealed(ctx)
	if err != nil {
		return err
	}
	root, err := seal.NewRoot()
	if err != nil {
		return err
	}
	defer root.Wipe()
	records, err := stored.remake(ctx, openings, root)
	if err != nil {
		return err
	}
	ring, err := stored.openRing(ctx, openings)
	if err != nil {
		return err
	}
	defer ring.Wipe()
	keys, err := stored.rewrapKeys(root, ring)
	if err != nil {
		return err
	}
	return v.commit(ctx, func(tx *db.Tx) error {
		if err := stored.mustStay(tx); err != nil {
			return err
		}
		if err := putAll(tx, records, keys, caller); err != nil {
			return err
		}
		return recordKeyEvent(tx, caller, eventRewrap, "", nil)
	})
}

// wrapKeys returns the rows of a keyring: the highest number encrypts.
func wrapKeys(root *seal.Root, ring *keyring.Keyring, by string) ([]db.SealedKey, error) {
	names := ring.Names()
	rows := make([]db.SealedKey, len(names))
	for i, name := range names {
		row := db.SealedKey{Number: int64(len(names) - i), Name: name, RootID: root.ID(), CreatedBy: by}
		err := ring.UseKey(name, func(key []byte) (err error) {
			row.Wrapped, err = root.WrapKey(row.Number, name, key)
			return err
		})
		if err != nil {
			return nil, err
		}
		rows[i] = row
	}
	return rows, nil
}

// openKeys returns the keyring that rows hold under a root key.
func openKeys(root *seal.Root, rows []db.SealedKey) (*keyring.Keyring, error) {
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row.Name
		if row.RootID != root.ID() {
			return nil, fmt.Errorf("%w: the key %q is wrapped by another root key; if that one was replaced, unseal again", secrets.ErrIntegrity, row.Name)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: the seals are there, but no key is; restore the database from a backup", secrets.ErrIntegrity)
	}
	return keyring.New(names, func(i int, key []byte) error {
		return root.UnwrapKey(rows[i].Number, rows[i].Name, rows[i].Wrapped, key)
	})
}

func putAll(tx *db.Tx, records []seal.Record, keys []db.SealedKey, caller secrets.Caller) error {
	for _, key := range keys {
		if err := tx.PutSealedKey(key); err != nil {
			return err
		}
	}
	for _, record := range records {
		if err := tx.PutSeal(sealRow(record, caller)); err != nil {
			return err
		}
	}
	return nil
}

func sealRow(r seal.Record, caller secrets.Caller) db.Seal {
	return db.Seal{
		Name: r.Name, Kind: string(r.Kind), Parameters: r.Parameters, Wrapped: r.Wrapped,
		RootID: r.RootID, MAC: r.MAC, CreatedBy: caller.Actor.ID(),
	}
}

func sealRecord(s db.Seal) seal.Record {
	return seal.Record{
		Name: s.Name, Kind: seal.Kind(s.Kind), Parameters: s.Parameters, Wrapped: s.Wrapped,
		RootID: s.RootID, MAC: s.MAC,
	}
}

func sameKey(a, b db.SealedKey) bool {
	return a.Number == b.Number && a.Name == b.Name && a.RootID == b.RootID && bytes.Equal(a.Wrapped, b.Wrapped)
}

func sameSeal(a, b db.Seal) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Parameters == b.Parameters && a.RootID == b.RootID &&
		bytes.Equal(a.Wrapped, b.Wrapped) && bytes.Equal(a.MAC, b.MAC)
}

// authorizeKeys allows a look at the seals.
func (v *Vault) authorizeKeys(caller secrets.Caller) error {
	if caller.Plugin != "" {
		return fmt.Errorf("%w: plugins do not deal with keys", secrets.ErrDenied)
	}
	if caller.Proof == secrets.ProofLocal {
		return nil // who runs commands on the machine has the file itself
	}
	decision := v.policy.Decide(caller.Actor, access.ManageSecrets)
	if !decision.Allowed {
		return fmt.Errorf("%w: %s", secrets.ErrDenied, decision.Reason)
	}
	return nil
}

// authorizeOperator allows changes of seals, which no page offers.
func (v *Vault) authorizeOperator(caller secrets.Caller) error {
	if caller.Plugin != "" || caller.Proof != secrets.ProofLocal {
		return fmt.Errorf("%w: seals are changed by commands on the machine of the host", secrets.ErrDenied)
	}
	return nil
}

// recordKeyEvent adds what was done with keys, or failed, to the record, and to
// the log.
func recordKeyEvent(tx *db.Tx, caller secrets.Caller, event, name string, failure error) error {
	e := db.KeyEvent{ActorID: caller.Actor.ID(), Proof: string(caller.Proof), Event: event, Name: name}
	if failure != nil {
		e.Failure = failure.Error()
		e.Failure = e.Failure[:min(len(e.Failure), maxFailure)]
	}
	a := act{action: strings.ReplaceAll(event, " ", "-"), name: name, reason: e.Failure}
	tx.Record(a.entry(caller, failure == nil))
	return tx.RecordKeyEvent(e)
}

// maxFailure bounds the text of a failure in the record, in bytes.
const maxFailure = 500
