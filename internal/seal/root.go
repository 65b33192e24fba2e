package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
)

// keyLen is the length of a key of the keyring in bytes.
const keyLen = 32

// Root is an open root key, in locked memory. It is safe for concurrent use,
// and prints as a fixed text.
type Root struct {
	memory *keymem.Block
	id     string
}

// NewRoot returns a new random root key.
func NewRoot() (*Root, error) {
	return newRoot(func(key []byte) error {
		rand.Read(key) // never fails: it ends the program instead
		return nil
	})
}

// newRoot returns the root key that fill writes.
func newRoot(fill func(key []byte) error) (*Root, error) {
	memory, err := keymem.New(rootLen)
	if err != nil {
		return nil, err
	}
	r := &Root{memory: memory}
	if err = memory.Use(fill); err == nil {
		err = r.derive("datasette-secrets root id v1", func(key []byte) error {
			r.id = hex.EncodeToString(key[:16])
			return nil
		})
	}
	if err != nil {
		memory.Wipe()
		return nil, err
	}
	return r, nil
}

// ID says which root key this is. It is public.
func (r *Root) ID() string { return r.id }

// Wipe takes the root key from memory.
func (r *Root) Wipe() { r.memory.Wipe() }

// Format writes a fixed text for every verb.
func (r *Root) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[root key]") }

// derive lends a key that is derived from the root key.
func (r *Root) derive(label string, use func(key []byte) error) error {
	return r.memory.Use(func(root []byte) error {
		key, err := hkdf.Key(sha256.New, root, nil, label, 32)
		if err != nil {
			return fmt.Errorf("deriving a key: %w", err)
		}
		defer clear(key)
		return use(key)
	})
}

// WrapKey encrypts a key of the keyring, of which number and name tell the row
// that it is stored in.
func (r *Root) WrapKey(number int64, name string, key []byte) (wrapped []byte, err error) {
	if len(key) != keyLen {
		return nil, fmt.Errorf("wrapping the key %q: it has %d bytes, not %d", name, len(key), keyLen)
	}
	err = r.keyCipher(func(gcm cipher.AEAD) error {
		wrapped = gcm.Seal(nil, nil, key, keyData(number, name))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("wrapping the key %q: %w", name, err)
	}
	return wrapped, nil
}

// UnwrapKey decrypts what WrapKey made into key, which has 32 bytes. The error
// is ErrIntegrity when the row is not what was stored under this root key.
func (r *Root) UnwrapKey(number int64, name string, wrapped, key []byte) error {
	return r.keyCipher(func(gcm cipher.AEAD) error {
		if len(wrapped) != keyLen+gcm.Overhead() || len(key) != keyLen {
			return damagedKey(name)
		}
		if _, err := gcm.Open(key[:0], nil, wrapped, keyData(number, name)); err != nil {
			return damagedKey(name)
		}
		return nil
	})
}

func damagedKey(name string) error {
	return fmt.Errorf("%w: the wrapped key %q was changed by something else than this program; restore the database from a backup", secrets.ErrIntegrity, name)
}

// keyCipher lends AES-256-GCM with random nonces in front of its ciphertexts.
func (r *Root) keyCipher(use func(cipher.AEAD) error) error {
	return r.derive("datasette-secrets key wrap v1", func(key []byte) error {
		gcm, err := newGCM(key)
		if err != nil {
			return err
		}
		return use(gcm)
	})
}

// newGCM returns AES-GCM that draws its nonces and puts them in front.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing AES: %w", err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing AES-GCM: %w", err)
	}
	return gcm, nil
}

// keyData is the associated data of a wrapped key.
func keyData(number int64, name string) []byte {
	return fields([]byte("datasette-secrets key v1"), binary.BigEndian.AppendUint64(nil, uint64(number)), []byte(name))
}
