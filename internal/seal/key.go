package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
)

// byKey is a 32-byte key that somebody else keeps: a systemd credential, a
// mounted secret, an environment variable.
type byKey struct{ memory *keymem.Block }

// ByKey returns the means of a seal of the kind Key. text is 44 characters of
// base64, as generate-encryption-key prints it; white space around it is
// ignored. No error holds it.
func ByKey(text secrets.Value) (Means, error) {
	raw, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of a seal %w; make one with: datasette-secrets generate-encryption-key", secrets.ErrInvalid, err)
	}
	defer clear(raw)
	memory, err := keymem.New(len(raw))
	if err != nil {
		return nil, err
	}
	return byKey{memory}, memory.Use(func(key []byte) error { copy(key, raw); return nil })
}

func decodeKey(text secrets.Value) ([]byte, error) {
	encoded := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(text.Reveal()))
	if len(encoded) != 44 {
		return nil, fmt.Errorf("must be 44 characters of base64, but has %d", len(encoded))
	}
	raw, err := base64.URLEncoding.DecodeString(encoded)
	if err != nil || len(raw) != 32 {
		return nil, errors.New("must be 32 bytes in base64")
	}
	return raw, nil
}

// Kind returns Key.
func (byKey) Kind() Kind { return Key }

// Wrap implements Means. It needs no parameters.
func (k byKey) Wrap(_ context.Context, root []byte) (parameters string, wrapped []byte, err error) {
	err = k.use(func(key []byte) error {
		gcm, err := newGCM(key)
		if err == nil {
			wrapped = gcm.Seal(nil, nil, root, []byte(keyLabel))
		}
		return err
	})
	return "{}", wrapped, err
}

// Unwrap implements Means.
func (k byKey) Unwrap(_ context.Context, _ string, wrapped, root []byte) error {
	return k.use(func(key []byte) error {
		gcm, err := newGCM(key)
		if err != nil {
			return err
		}
		if len(wrapped) != len(root)+gcm.Overhead() {
			return fmt.Errorf("%w: its wrapped root key has a wrong length", secrets.ErrIntegrity)
		}
		if _, err := gcm.Open(root[:0], nil, wrapped, []byte(keyLabel)); err != nil {
			return fmt.Errorf("%w: the key is not the one that this seal was made with", secrets.ErrDenied)
		}
		return nil
	})
}

const keyLabel = "datasette-secrets seal key v1"

// use lends the key that wraps, which is derived from the given one so that
// the same key may have other uses.
func (k byKey) use(fn func(key []byte) error) error {
	return k.memory.Use(func(given []byte) error {
		key, err := hkdf.Key(sha256.New, given, nil, keyLabel, 32)
		if err != nil {
			return fmt.Errorf("deriving a key: %w", err)
		}
		defer clear(key)
		return fn(key)
	})
}
