package vault

import (
	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// keyState is what the vault has of keys at one moment. It never changes: new
// keys make a new one.
type keyState struct {
	ring   *keyring.Keyring // nil: not configured, or sealed
	sealed bool
}

// UseKeys puts a keyring in the place of the one before. Acts that have begun
// end with the old one. A nil ring means that no key is configured.
func (v *Vault) UseKeys(ring *keyring.Keyring) { v.keys.Store(&keyState{ring: ring}) }

// Seal takes the keys away until UseKeys: whatever needs one is ErrSealed.
func (v *Vault) Seal() { v.keys.Store(&keyState{sealed: true}) }

// Configured reports whether there are keys, at hand or sealed, so that values
// can be stored.
func (v *Vault) Configured() bool {
	state := v.keys.Load()
	return state.ring != nil || state.sealed
}

// Sealed reports whether the keys exist but are sealed.
func (v *Vault) Sealed() bool { return v.keys.Load().sealed }

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
