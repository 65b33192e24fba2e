package host

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The acts about seals that a console can ask of a running host.
const (
	actSealed = "seal/state"
	actUnseal = "seal/unseal"
)

// SealState is whether a running host is sealed, and what could open it.
type SealState struct {
	Sealed      bool     `json:"sealed"`
	Passphrases []string `json:"passphrases"` // seals that a passphrase opens
	Tokens      []string `json:"tokens"`      // configured tokens whose PIN nobody has written down
}

// UnsealWith is what a host is unsealed with: nothing for what its
// configuration has, or one of the others.
type UnsealWith struct {
	Passphrase secrets.Value
	Key        secrets.Value
	PIN        secrets.Value // for configured tokens without one
	RetryPIN   bool          // a PIN that was refused before has been corrected
}

// unsealOrder is UnsealWith on its way through the control socket.
type unsealOrder struct {
	Passphrase string `json:"passphrase,omitempty"`
	Key        string `json:"key,omitempty"`
	PIN        string `json:"pin,omitempty"`
	RetryPIN   bool   `json:"retry_pin,omitempty"`
}

// sealActs are what commands can ask for about seals.
func (h *Host) sealActs(b *base) map[string]control.Act {
	return map[string]control.Act{
		actSealed: with(func(ctx context.Context, caller secrets.Caller, _ struct{}) (SealState, error) {
			return h.sealState(ctx, caller, b)
		}),
		actUnseal: with(func(ctx context.Context, caller secrets.Caller, order unsealOrder) (string, error) {
			return h.unseal(ctx, caller, b, order)
		}),
	}
}

func (h *Host) sealState(ctx context.Context, caller secrets.Caller, b *base) (SealState, error) {
	infos, err := b.door.Seals(ctx, caller)
	if err != nil {
		return SealState{}, err
	}
	state := SealState{Sealed: b.door.Sealed(), Passphrases: []string{}, Tokens: []string{}}
	for _, info := range infos {
		if info.Kind == seal.Passphrase {
			state.Passphrases = append(state.Passphrases, info.Name)
		}
	}
	configured, err := b.loaded.Seals()
	if err != nil {
		return SealState{}, err
	}
	for _, c := range configured {
		if c.Way == config.SealURI && c.PIN == "" && !h.hasPIN(c, b) {
			state.Tokens = append(state.Tokens, c.Name)
		}
	}
	return state, nil
}

// unseal tries what an operator gave, or what the configuration has.
func (h *Host) unseal(ctx context.Context, caller secrets.Caller, b *base, order unsealOrder) (string, error) {
	var openings []vault.Opening
	for _, given := range []struct {
		text  string
		means func(secrets.Value) (seal.Means, error)
	}{
		{order.Passphrase, func(v secrets.Value) (seal.Means, error) { return seal.ByPassphrase(v, 0) }},
		{order.Key, seal.ByKey},
	} {
		if given.text == "" {
			continue
		}
		means, err := given.means(secrets.NewValue(given.text))
		if err != nil {
			return "", err
		}
		openings = append(openings, vault.Opening{Means: means})
	}
	if len(openings) == 0 {
		openings = h.openings(b, order.PIN)()
	}
	for i := range openings {
		openings[i].RetryPIN = order.RetryPIN
	}
	name, err := b.door.Unseal(ctx, caller, openings)
	if err == nil {
		h.log.Info("unsealed", "actor", caller.Actor.ID(), "seal", name)
	}
	return name, err
}

// SealState asks the running host whether it is sealed.
func (c *Console) SealState(ctx context.Context) (state SealState, err error) {
	if !c.Running() {
		return SealState{}, errNotRunning()
	}
	err = c.call(ctx, actSealed, struct{}{}, &state)
	return state, err
}

// Unseal has the running host open its keys, and returns the name of the seal
// that did.
func (c *Console) Unseal(ctx context.Context, w UnsealWith) (seal string, err error) {
	if !c.Running() {
		return "", errNotRunning()
	}
	order := unsealOrder{w.Passphrase.Reveal(), w.Key.Reveal(), w.PIN.Reveal(), w.RetryPIN}
	err = c.call(ctx, actUnseal, order, &seal)
	return seal, err
}

func errNotRunning() error {
	return fmt.Errorf("%w: no host runs on this database; one that is started opens its keys with what plugins.datasette-secrets.seals has", secrets.ErrUnavailable)
}
