// Package keyring holds the named Fernet keys that protect stored secrets.
//
// The first key encrypts, all of them decrypt. A row of the database says
// which key it needs by name; the one key of a configuration that Python's
// datasette-secrets also understands is always named "default".
//
// Fernet (https://github.com/fernet/spec) authenticates every token, so a key
// that does not belong to a token refuses it: trying the others after the
// named one is safe, and lets a key be renamed by moving it in the list.
package keyring

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fernet/fernet-go"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
)

// DefaultName is the name of the key that Python's datasette-secrets uses.
const DefaultName = "default"

// keyLen is the length of a Fernet key in bytes.
const keyLen = 32

// Keyring is a list of named keys, the first of which encrypts. The keys are
// in memory of their own, see package keymem. It is safe for concurrent use,
// and never changes but by Wipe.
type Keyring struct {
	names  []string
	memory *keymem.Block // the keys, one after the other
	coding *keymem.Block // the keys of codes that are derived from each, see codeLabels
}

// New returns a keyring with these names, each of which fill writes the key
// of: 32 bytes. The first encrypts.
func New(names []string, fill func(i int, key []byte) error) (*Keyring, error) {
	if len(names) == 0 || len(names) > maxKeys {
		return nil, fmt.Errorf("%d keys are given, 1 to %d are allowed", len(names), maxKeys)
	}
	for i, name := range names {
		if !keyName.MatchString(name) || slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("key %d of %d: its name is malformed or used twice", i+1, len(names))
		}
	}
	memory, err := keymem.New(len(names) * keyLen)
	if err != nil {
		return nil, err
	}
	coding, err := keymem.New(len(names) * codeKeysLen)
	if err != nil {
		memory.Wipe()
		return nil, err
	}
	ring := &Keyring{names: slices.Clone(names), memory: memory, coding: coding}
	err = memory.Use(func(all []byte) error {
		for i := range names {
			if err := fill(i, all[i*keyLen:(i+1)*keyLen:(i+1)*keyLen]); err != nil {
				return err
			}
		}
		return coding.Use(func(derived []byte) error { return deriveAll(derived, all) })
	})
	if err != nil {
		ring.Wipe()
		return nil, err
	}
	return ring, nil
}

// Wipe takes the keys from memory. Whatever needs them afterwards fails.
func (k *Keyring) Wipe() {
	k.memory.Wipe()
	k.coding.Wipe()
}

// Memory says how the keys in memory are protected.
func (k *Keyring) Memory() keymem.Kind { return k.memory.Kind() }

// UseKey lets fn read the 32 bytes of one key, which it must not keep.
func (k *Keyring) UseKey(name string, fn func(key []byte) error) error {
	i := slices.Index(k.names, name)
	if i < 0 {
		return fmt.Errorf("%w: there is no key named %q", secrets.ErrNotFound, name)
	}
	return k.memory.Use(func(all []byte) error { return fn(all[i*keyLen : (i+1)*keyLen]) })
}

// Generate returns a new random key in the form that a configuration holds:
// 44 characters of URL-safe base64.
func Generate() (string, error) {
	var key fernet.Key
	if err := key.Generate(); err != nil {
		return "", fmt.Errorf("generating an encryption key: %w", err)
	}
	return key.Encode(), nil
}

// Encrypt returns the Fernet token of v under the first key, made at now, and
// that key's name.
func (k *Keyring) Encrypt(v secrets.Value, now time.Time) (token []byte, keyName string, err error) {
	err = k.UseKey(k.names[0], func(key []byte) (err error) {
		token, err = fernet.EncryptAndSignAtTime([]byte(v.Reveal()), (*fernet.Key)(key), now)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("encrypting a secret: %w", err)
	}
	return token, k.names[0], nil
}

// toValue makes a Value of clear text, and clears that.
func toValue(text []byte) (secrets.Value, error) {
	defer clear(text)
	if !utf8.Valid(text) {
		return secrets.Value{}, fmt.Errorf("%w: the stored value is not UTF-8 text", secrets.ErrIntegrity)
	}
	return secrets.NewValue(string(text)), nil
}

// open returns the text of a token and the place of the key that opens it, -1
// when none does. It tries the key of that name first.
func (k *Keyring) open(keyName string, token []byte) (text []byte, by int, err error) {
	by = -1
	err = k.memory.Use(func(all []byte) error {
		for _, i := range k.inOrder(keyName) {
			key := (*fernet.Key)(all[i*keyLen : (i+1)*keyLen])
			// A time to live of zero asks for no check of the token's age.
			if text = fernet.VerifyAndDecrypt(token, 0, []*fernet.Key{key}); text != nil {
				by = i
				return nil
			}
		}
		return nil
	})
	return text, by, err
}

// unopened says why no key opens a token whose row names this one.
func (k *Keyring) unopened(keyName string) error {
	if !k.has(keyName) {
		return fmt.Errorf("%w: it needs the key named %q, which is not configured", secrets.ErrIntegrity, keyName)
	}
	return fmt.Errorf("%w: the key named %q does not open it", secrets.ErrIntegrity, keyName)
}

// Names returns the names of the keys, the encrypting one first.
func (k *Keyring) Names() []string { return slices.Clone(k.names) }

func (k *Keyring) has(name string) bool { return slices.Contains(k.names, name) }

// inOrder returns the places of the keys, that of the key called name first.
func (k *Keyring) inOrder(name string) []int {
	var named, others []int
	for i := range k.names {
		if k.names[i] == name {
			named = append(named, i)
		} else {
			others = append(others, i)
		}
	}
	return append(named, others...)
}

// MustBeIn makes sure that another keyring opens whatever this one does. The
// error names a key that it lacks.
func (k *Keyring) MustBeIn(other *Keyring) error {
	for _, name := range k.names {
		there := false
		err := k.UseKey(name, func(key []byte) error {
			return other.memory.Use(func(all []byte) error {
				for candidate := range slices.Chunk(all, keyLen) {
					there = there || subtle.ConstantTimeCompare(key, candidate) == 1
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("%w: the key named %q is not among them", secrets.ErrInvalid, name)
		}
	}
	return nil
}
