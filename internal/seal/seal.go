// Package seal protects the keys of a keyring without giving any key in clear.
//
//	passphrase ──┐
//	key file   ──┼─ any one seal opens ─▶ root key ─ opens ─▶ the keyring's keys
//	HSM        ──┘                        256 bits            one or more
//
// The root key is random and is stored only wrapped, once for each seal. The
// keys of the keyring are stored wrapped by the root key. So a seal can be
// added, changed or removed without touching a single secret, and a key can be
// added without asking for any passphrase.
//
// # Formats
//
// From the root key three keys are derived with HKDF-SHA-256, without a salt,
// by these labels:
//
//	datasette-secrets root id v1        16 bytes, public: which root key this is
//	datasette-secrets key wrap v1       AES-256-GCM, for the keys of the keyring
//	datasette-secrets seal record v1    HMAC-SHA-256, over the record of a seal
//
// A wrapped key is a nonce of 12 bytes and the AES-GCM ciphertext of its 32
// bytes. The associated data is the label "datasette-secrets key v1", the
// key's number and its name, so that rows cannot be swapped or renamed. A
// seal's record carries an HMAC over its name, kind, parameters and wrapped
// root key. Each field of both begins with its length in 8 bytes.
package seal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"regexp"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Kind is how a seal wraps the root key.
type Kind string

// The kinds of seals.
const (
	Passphrase Kind = "passphrase" // what somebody knows
	Key        Kind = "key"        // a key in a file or an environment variable
	PKCS11     Kind = "pkcs11"     // a key inside an HSM, a smart card or a TPM
)

// rootLen is the length of a root key in bytes.
const rootLen = 32

// Means is what a seal is opened with: a passphrase, a key, an HSM. It also
// makes seals of its kind.
type Means interface {
	Kind() Kind

	// Wrap encrypts a root key. parameters is what Unwrap will have to know
	// besides, as JSON; it is stored in clear, and authenticated.
	Wrap(ctx context.Context, root []byte) (parameters string, wrapped []byte, err error)

	// Unwrap decrypts what Wrap made into root, which has the right length.
	// The error is ErrDenied when these means are not those of the seal, and
	// ErrUnavailable when they cannot be reached. Before that is known,
	// nothing in parameters and wrapped can be trusted.
	Unwrap(ctx context.Context, parameters string, wrapped, root []byte) error
}

// ErrPIN: the token of a seal refused the PIN. Another try may lock the token,
// so nothing may try again by itself. It is also ErrDenied.
var ErrPIN = fmt.Errorf("%w: the token refused the PIN", secrets.ErrDenied)

// Record is a seal as it is stored.
type Record struct {
	Name       string
	Kind       Kind
	Parameters string // JSON
	Wrapped    []byte // the root key
	RootID     string // which root key
	MAC        []byte // over the other fields
}

var recordName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// CheckName refuses what cannot be the name of a seal.
func CheckName(name string) error {
	if !recordName.MatchString(name) {
		return fmt.Errorf("%w: the name of a seal must be 1 to 64 letters, digits or _ . -", secrets.ErrInvalid)
	}
	return nil
}

// Make returns the record of a new seal of root, after it has opened the root
// key with it.
func Make(ctx context.Context, name string, means Means, root *Root) (Record, error) {
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	r := Record{Name: name, Kind: means.Kind(), RootID: root.id}
	err := root.memory.Use(func(key []byte) (err error) {
		r.Parameters, r.Wrapped, err = means.Wrap(ctx, key)
		return err
	})
	if err != nil {
		return Record{}, fmt.Errorf("making the seal %q: %w", name, err)
	}
	if r.MAC, err = root.mac(r); err != nil {
		return Record{}, err
	}
	opened, err := r.Open(ctx, means)
	if err != nil {
		return Record{}, fmt.Errorf("proving the seal %q: %w", name, err)
	}
	opened.Wipe()
	return r, nil
}

// Open returns the root key. The error is ErrDenied when these means do not
// open the seal, and ErrIntegrity when they do but the record is not what was
// stored.
func (r Record) Open(ctx context.Context, means Means) (*Root, error) {
	if means.Kind() != r.Kind {
		return nil, fmt.Errorf("%w: the seal %q is of the kind %s, not %s", secrets.ErrInvalid, r.Name, r.Kind, means.Kind())
	}
	root, err := newRoot(func(key []byte) error {
		return means.Unwrap(ctx, r.Parameters, r.Wrapped, key)
	})
	if err != nil {
		return nil, fmt.Errorf("opening the seal %q: %w", r.Name, err)
	}
	if err := r.check(root); err != nil {
		root.Wipe()
		return nil, err
	}
	return root, nil
}

// check refuses a record that somebody has edited.
func (r Record) check(root *Root) error {
	mac, err := root.mac(r)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(root.id), []byte(r.RootID)) != 1 || !hmac.Equal(mac, r.MAC) {
		return fmt.Errorf("%w: the record of the seal %q was changed by something else than this program; restore the database from a backup, or remove that seal with another one", secrets.ErrIntegrity, r.Name)
	}
	return nil
}

// mac is the HMAC of a record.
func (r *Root) mac(record Record) ([]byte, error) {
	var sum []byte
	err := r.derive("datasette-secrets seal record v1", func(key []byte) error {
		h := hmac.New(sha256.New, key)
		h.Write(fields([]byte(record.Name), []byte(record.Kind), []byte(record.Parameters), record.Wrapped))
		sum = h.Sum(nil)
		return nil
	})
	return sum, err
}

// fields joins byte strings so that no two lists give the same text.
func fields(all ...[]byte) []byte {
	var joined []byte
	for _, field := range all {
		joined = binary.BigEndian.AppendUint64(joined, uint64(len(field)))
		joined = append(joined, field...)
	}
	return joined
}
