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
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fernet/fernet-go"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// DefaultName is the name of the key that Python's datasette-secrets uses.
const DefaultName = "default"

// Keyring is a list of named keys, the first of which encrypts. It is safe for
// concurrent use, and never changes.
type Keyring struct{ keys []namedKey }

type namedKey struct {
	name string
	key  *fernet.Key
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
	first := k.keys[0]
	token, err = fernet.EncryptAndSignAtTime([]byte(v.Reveal()), first.key, now)
	if err != nil {
		return nil, "", fmt.Errorf("encrypting a secret: %w", err)
	}
	return token, first.name, nil
}

// Decrypt returns the clear text of a token. keyName, from the row that the
// token stands in, says which key to try first. The error is ErrIntegrity when
// no key opens the token, and says whether keyName is missing.
func (k *Keyring) Decrypt(keyName string, token []byte) (secrets.Value, error) {
	for _, key := range k.inOrder(keyName) {
		// A time to live of zero asks for no check of the token's age.
		text := fernet.VerifyAndDecrypt(token, 0, []*fernet.Key{key})
		if text == nil {
			continue
		}
		if !utf8.Valid(text) {
			return secrets.Value{}, fmt.Errorf("%w: the stored value is not UTF-8 text", secrets.ErrIntegrity)
		}
		return secrets.NewValue(string(text)), nil
	}
	if !k.has(keyName) {
		return secrets.Value{}, fmt.Errorf("%w: it needs the key named %q, which is not configured", secrets.ErrIntegrity, keyName)
	}
	return secrets.Value{}, fmt.Errorf("%w: the key named %q does not open it", secrets.ErrIntegrity, keyName)
}

// Names returns the names of the keys, the encrypting one first.
func (k *Keyring) Names() []string {
	names := make([]string, len(k.keys))
	for i, key := range k.keys {
		names[i] = key.name
	}
	return names
}

func (k *Keyring) has(name string) bool {
	for _, key := range k.keys {
		if key.name == name {
			return true
		}
	}
	return false
}

// inOrder returns the keys with those called name in front.
func (k *Keyring) inOrder(name string) []*fernet.Key {
	var named, others []*fernet.Key
	for _, key := range k.keys {
		if key.name == name {
			named = append(named, key.key)
		} else {
			others = append(others, key.key)
		}
	}
	return append(named, others...)
}
