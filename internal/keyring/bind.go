package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Fernet proves that a token was made with a key. It does not say for which
// row: whoever can write the file could swap two tokens, or bring an old one
// back. Two codes of authentication (HMAC-SHA256), kept beside the rows, bind
// what Fernet does not.
//
//   - A binding belongs to one row. It is over the secret's name, the version,
//     the name of the key, whether the version is a tombstone, and the token.
//   - A mark belongs to one name. It is over the name and its newest version,
//     so that the newest row cannot be taken away unnoticed.
//
// The mark of a name is under the key of the newest row, as its binding is.
//
// Each field is written behind its length, as eight bytes with the highest
// first; numbers are in decimal. The keys of the codes are derived from the
// Fernet key with HKDF-SHA256 under the labels below.
const (
	bindingLabel = "datasette-secrets binding v1"
	markLabel    = "datasette-secrets newest version v1"
)

// Place is the row that a token stands in.
type Place struct {
	Name    string // of the secret
	Version int64
	KeyName string // of the key that the row names
	Deleted bool   // the version is a tombstone
}

func (p Place) message(token []byte) []byte {
	state := ""
	if p.Deleted {
		state = "deleted"
	}
	return fields([]byte(p.Name), []byte(strconv.FormatInt(p.Version, 10)), []byte(p.KeyName), []byte(state), token)
}

func fields(all ...[]byte) []byte {
	var message []byte
	for _, field := range all {
		message = binary.BigEndian.AppendUint64(message, uint64(len(field)))
		message = append(message, field...)
	}
	return message
}

// Ties are the codes of a row.
type Ties struct {
	Binding []byte // of the token to its place
	Mark    []byte // of the name, where this version is the newest
}

// Tie returns the codes of a token and its place, under the key that opens the
// token. It is ErrIntegrity when no key does, or when the token is not spelled
// as programs spell it: a second spelling would hide that it is a copy.
func (k *Keyring) Tie(at Place, token []byte) (ties Ties, err error) {
	text, i, err := k.open(at.KeyName, token)
	clear(text)
	if err != nil {
		return Ties{}, fmt.Errorf("binding a token: %w", err)
	}
	if i < 0 {
		return Ties{}, k.unopened(at.KeyName)
	}
	if !canonical(token) {
		return Ties{}, fmt.Errorf("%w: its token is spelled as no program spells it", secrets.ErrIntegrity)
	}
	err = k.coding.Use(func(derived []byte) error {
		ties.Binding = authenticate(keyOf(derived, i, ofBinding), at.message(token))
		ties.Mark = authenticate(keyOf(derived, i, ofMark), markMessage(at.Name, at.Version))
		return nil
	})
	return ties, err
}

// Open returns the clear text of a row, if its token stands where it belongs, as
// far as its binding says. A nil binding says nothing. The error is
// ErrIntegrity.
func (k *Keyring) Open(at Place, token, binding []byte) (secrets.Value, error) {
	_, text, err := k.proven(at, token, binding)
	if err != nil {
		return secrets.Value{}, err
	}
	return toValue(text)
}

// Opener returns the name of the key that protects a row: the one that its
// binding was made with or, without a binding, the one that opens its token.
// ErrIntegrity says why there is none.
func (k *Keyring) Opener(at Place, token, binding []byte) (name string, err error) {
	i, text, err := k.proven(at, token, binding)
	clear(text)
	if err != nil {
		return "", err
	}
	return k.names[i], nil
}

// proven opens a token and proves that it stands where it belongs, as far as
// its binding says, with one and the same key.
func (k *Keyring) proven(at Place, token, binding []byte) (by int, text []byte, err error) {
	text, by, err = k.open(at.KeyName, token)
	if err != nil {
		return -1, nil, fmt.Errorf("opening a token: %w", err)
	}
	if by < 0 {
		return -1, nil, k.unopened(at.KeyName)
	}
	if binding == nil {
		return by, text, nil
	}
	bound, err := k.coder(k.names[by], ofBinding, at.message(token), binding)
	if err == nil && bound != by {
		err = fmt.Errorf("%w: its row was changed by another program after it was stored", secrets.ErrIntegrity)
	}
	if err != nil {
		clear(text)
		return -1, nil, err
	}
	return by, text, nil
}

// Marked reports whether a mark is that of the name and its newest version,
// made with any of the keys.
func (k *Keyring) Marked(name string, version int64, mark []byte) (bool, error) {
	by, err := k.coder("", ofMark, markMessage(name, version), mark)
	return by >= 0, err
}

func markMessage(name string, version int64) []byte {
	return fields([]byte(name), []byte(strconv.FormatInt(version, 10)))
}

// coder returns the place of the key that a code was made with, -1 if it is
// none of the ring's. The key called first is tried first.
func (k *Keyring) coder(first string, of codeOf, message, given []byte) (by int, err error) {
	by = -1
	err = k.coding.Use(func(derived []byte) error {
		for _, i := range k.inOrder(first) {
			if hmac.Equal(authenticate(keyOf(derived, i, of), message), given) {
				by = i
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return -1, fmt.Errorf("checking a stored row: %w", err)
	}
	return by, nil
}

// codeOf is what a code is about. The keys for these are derived once, because
// every read of a secret needs them.
type codeOf int

const (
	ofBinding codeOf = iota
	ofMark

	codeKeysLen = 2 * sha256.Size // of those that are derived from one key
)

func codeLabels() [2]string { return [2]string{ofBinding: bindingLabel, ofMark: markLabel} }

// deriveAll fills in the keys of codes for keys that stand one after the other.
func deriveAll(derived, keys []byte) error {
	for i := range len(keys) / keyLen {
		for of, label := range codeLabels() {
			key, err := derive(keys[i*keyLen:(i+1)*keyLen], label)
			if err != nil {
				return err
			}
			copy(keyOf(derived, i, codeOf(of)), key)
			clear(key)
		}
	}
	return nil
}

// keyOf is the key of a code that was derived from the key in this place.
func keyOf(derived []byte, place int, of codeOf) []byte {
	start := place*codeKeysLen + int(of)*sha256.Size
	return derived[start : start+sha256.Size]
}

// derive makes a key of a Fernet key, for one purpose only.
func derive(key []byte, label string) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, label, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return derived, nil
}

// authenticate is the code of a message under a derived key.
func authenticate(derived, message []byte) []byte {
	mac := hmac.New(sha256.New, derived)
	mac.Write(message)
	return mac.Sum(nil)
}

// canonical reports whether a token is spelled as base64 of its bytes is. A
// decoder takes more: line breaks, or other bits where nothing is encoded.
func canonical(token []byte) bool {
	raw, err := base64.URLEncoding.DecodeString(string(token))
	if err != nil {
		return false
	}
	return bytes.Equal(base64.URLEncoding.AppendEncode(nil, raw), token)
}
