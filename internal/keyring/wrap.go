package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Wrap encrypts something of this program's own that is no secret of anybody,
// such as the key that signs the log. It uses a key that is derived from the
// first key for this purpose only, so that what comes out is no Fernet token:
// put in the place of one, it opens nothing. label says what the text is, and
// is needed again to unwrap it.
func (k *Keyring) Wrap(label string, text []byte) (wrapped []byte, keyName string, err error) {
	err = k.UseKey(k.names[0], func(key []byte) error {
		gcm, err := wrapCipher(key)
		if err == nil {
			wrapped = gcm.Seal(nil, nil, text, []byte(label))
		}
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("wrapping the %s: %w", label, err)
	}
	return wrapped, k.names[0], nil
}

// Unwrap decrypts what Wrap made under any of the keys; the one of that name is
// tried first. It is ErrIntegrity when none fits.
func (k *Keyring) Unwrap(label, keyName string, wrapped []byte) (text []byte, err error) {
	err = k.memory.Use(func(all []byte) error {
		for _, i := range k.inOrder(keyName) {
			gcm, err := wrapCipher(all[i*keyLen : (i+1)*keyLen])
			if err != nil {
				return err
			}
			if text, err = gcm.Open(nil, nil, wrapped, []byte(label)); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%w: no configured key opens it", secrets.ErrIntegrity)
	})
	if err != nil {
		return nil, fmt.Errorf("unwrapping the %s: %w", label, err)
	}
	return text, nil
}

// wrapCipher is AES-256-GCM under a derived key, with random nonces in front of
// its ciphertexts.
func wrapCipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "datasette-secrets wrap v1", 32)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
