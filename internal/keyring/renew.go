package keyring

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fernet/fernet-go"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// idLabel is for HKDF, as the labels of bindings are.
const idLabel = "datasette-secrets key id v1"

// ID is a short name of a key that depends on nothing but the key: eight
// hexadecimal digits. It tells nothing about the key that could be used.
func (k *Keyring) ID(name string) (id string, err error) {
	err = k.UseKey(name, func(key []byte) error {
		derived, err := derive(key, idLabel)
		if err != nil {
			return err
		}
		defer clear(derived)
		id = hex.EncodeToString(authenticate(derived, nil)[:4])
		return nil
	})
	return id, err
}

// Equal reports whether two keyrings hold the same keys under the same names
// in the same order. Either may be nil.
func (k *Keyring) Equal(other *Keyring) bool {
	if k == nil || other == nil {
		return k == other
	}
	if !slices.Equal(k.names, other.names) {
		return false
	}
	equal, err := k.memory.Equal(other.memory)
	return equal && err == nil
}

// Renewed is a row under the first key.
type Renewed struct {
	Token   []byte
	KeyName string
	Ties    Ties
}

// Renew puts a bound row under the first key and its name: the same text and
// the same time, in a token that was opened again and compared. It returns nil
// when the row is there already. A row that cannot be trusted is ErrIntegrity.
func (k *Keyring) Renew(at Place, token, binding []byte) (*Renewed, error) {
	if binding == nil {
		return nil, errors.New("renewing a row: it has no binding")
	}
	by, text, err := k.proven(at, token, binding)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if by == 0 && at.KeyName == k.names[0] {
		return nil, nil
	}
	r := &Renewed{Token: token, KeyName: k.names[0]}
	if by != 0 {
		if r.Token, err = k.encryptAgain(token, text); err != nil {
			return nil, err
		}
	}
	at.KeyName = r.KeyName
	r.Ties, err = k.Tie(at, r.Token)
	return r, err
}

// encryptAgain makes a token of the same text and time under the first key,
// and proves that it is one.
func (k *Keyring) encryptAgain(token, text []byte) (again []byte, err error) {
	made, err := madeAt(token)
	if err != nil {
		return nil, err
	}
	err = k.UseKey(k.names[0], func(key []byte) error {
		first := (*fernet.Key)(key)
		if again, err = fernet.EncryptAndSignAtTime(text, first, made); err != nil {
			return err
		}
		proof := fernet.VerifyAndDecrypt(again, 0, []*fernet.Key{first})
		defer clear(proof)
		if proof == nil || !bytes.Equal(proof, text) {
			return errors.New("what was encrypted is not what was read")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("encrypting a secret again: %w", err)
	}
	return again, nil
}

// madeAt is the time that a token holds: after its version, one byte, as eight
// bytes in seconds.
func madeAt(token []byte) (time.Time, error) {
	const inBase64 = 12 // characters that hold nine bytes
	head := make([]byte, 9)
	if len(token) < inBase64 {
		return time.Time{}, fmt.Errorf("%w: its token is too short", secrets.ErrIntegrity)
	}
	if _, err := base64.URLEncoding.Decode(head, token[:inBase64]); err != nil {
		return time.Time{}, fmt.Errorf("%w: its token is not base64", secrets.ErrIntegrity)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(head[1:])), 0), nil
}
