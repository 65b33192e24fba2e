package vault

import (
	"context"
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
)

// keyState is what the vault has of keys at one moment. It never changes: new
// keys make a new one.
type keyState struct {
	ring   *keyring.Keyring // nil: not configured, or sealed
	sealed bool

	// Of a sealed keyring that is open: the root key, and the rows that the
	// keys came from.
	root *seal.Root
	rows []db.SealedKey

	// The root key was replaced by another process: what is at hand goes on to
	// be read with, but nothing is stored before somebody unseals again.
	replaced bool
}

// UseKeys puts a keyring in the place of the one before. Acts that have begun
// end with the old one. A nil ring means that no key is configured.
func (v *Vault) UseKeys(ring *keyring.Keyring) {
	v.keys.Store(&keyState{ring: ring})
	v.noteChange()
}

// Seal takes the keys away until UseKeys or Unseal: whatever needs one is
// ErrSealed.
func (v *Vault) Seal() {
	v.keys.Store(&keyState{sealed: true})
	v.noteChange()
}

// Wipe takes the keys from memory. Whatever needs them afterwards fails.
func (v *Vault) Wipe() {
	state := v.keys.Load()
	if state.ring != nil {
		state.ring.Wipe()
	}
	if state.root != nil {
		state.root.Wipe()
	}
}

// KeyMemory says how the keys in memory are protected. It is empty while there
// are none.
func (v *Vault) KeyMemory() keymem.Kind {
	state := v.keys.Load()
	if state.ring == nil {
		return ""
	}
	return state.ring.Memory()
}

// Configured reports whether there are keys, at hand or sealed, so that values
// can be stored.
func (v *Vault) Configured() bool {
	state := v.keys.Load()
	return state.ring != nil || state.sealed
}

// Sealed reports whether the keys exist and have to be unsealed, or unsealed
// again because their root key was replaced.
func (v *Vault) Sealed() bool {
	state := v.keys.Load()
	return state.sealed || state.replaced
}

// RefreshKeys takes over what another process changed about the keys: those of
// a sealed keyring that is open here, or those that the configuration names. It
// costs a small read. After a root key that was replaced meanwhile it is ErrSealed
// until Unseal.
func (v *Vault) RefreshKeys(ctx context.Context) error {
	state := v.keys.Load()
	if state.root == nil {
		v.refreshConfigured(state)
		return nil
	}
	return v.db.View(ctx, func(tx *db.Tx) error { return v.refreshSealed(tx, state) })
}

// newestRing is ring after RefreshKeys, inside a transaction.
func (v *Vault) newestRing(tx *db.Tx) (*keyring.Keyring, error) {
	state := v.keys.Load()
	if state.root == nil {
		v.refreshConfigured(state)
	} else if err := v.refreshSealed(tx, state); err != nil {
		return nil, err
	}
	return v.ring()
}

func (v *Vault) refreshConfigured(state *keyState) {
	if state.sealed || v.configured == nil {
		return
	}
	if ring := v.configured(); ring != nil && ring != state.ring {
		v.replaceKeys(state, &keyState{ring: ring})
	}
}

func (v *Vault) refreshSealed(tx *db.Tx, state *keyState) error {
	rows, err := tx.SealedKeys()
	if err != nil || !state.replaced && slices.EqualFunc(rows, state.rows, sameKey) {
		return err
	}
	if slices.ContainsFunc(rows, func(row db.SealedKey) bool { return row.RootID != state.root.ID() }) {
		return v.rootReplaced(state)
	}
	ring, err := openKeys(state.root, rows)
	if err != nil {
		return err
	}
	v.replaceKeys(state, &keyState{ring: ring, root: state.root, rows: rows})
	return nil
}

func (v *Vault) rootReplaced(state *keyState) error {
	now := *state
	now.replaced = true
	if !state.replaced && v.keys.CompareAndSwap(state, &now) {
		v.noteChange()
		v.log.Warn("the root key was replaced: secrets are read with the keys at hand, and none is stored before the host is unsealed again")
	}
	return fmt.Errorf("%w: the root key was replaced; unseal again with: datasette-secrets unseal", secrets.ErrSealed)
}

func (v *Vault) replaceKeys(old, now *keyState) {
	if v.keys.CompareAndSwap(old, now) {
		v.noteChange()
		v.log.Info("took over new encryption keys", "names", now.ring.Names())
	}
}

// ring returns the keys, or the reason why there are none: ErrNotConfigured or
// ErrSealed. An act asks once, so that it ends with the keys that it began
// with.
func (v *Vault) ring() (*keyring.Keyring, error) {
	state := v.keys.Load()
	if state.sealed {
		return nil, secrets.ErrSealed
	}
	if state.ring == nil {
		return nil, secrets.ErrNotConfigured
	}
	return state.ring, nil
}
