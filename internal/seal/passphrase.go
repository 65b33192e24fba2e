package seal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"filippo.io/age"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// How much work it is to try one passphrase, as scrypt's N = 2^n.
const (
	DefaultWorkFactor = 18 // about a second and 256 MiB
	MinWorkFactor     = 10 // for passphrases that are random keys, and for small machines
	MaxWorkFactor     = 20 // four times the default; somebody who edits the database cannot ask for more
)

// Limits of a passphrase, in bytes.
const (
	MinPassphrase = 10
	MaxPassphrase = 1024
)

// maxSealed bounds the encrypted file of a passphrase seal, in bytes.
const maxSealed = 4096

// byPassphrase is something that people know.
type byPassphrase struct {
	text secrets.Value
	work int          // for new seals; 0: as it was, or the default
	was  atomic.Int64 // the work of the seal that was opened last; 0: none
}

// scryptLine is the line of a file of age that tells the work factor.
var scryptLine = regexp.MustCompile(`(?m)^-> scrypt \S+ ([0-9]{1,2})$`)

// ByPassphrase returns the means of a seal of the kind Passphrase. The wrapped
// root key is a file of age (https://age-encryption.org/v1) with one scrypt
// recipient. work is for new seals, from MinWorkFactor to MaxWorkFactor; 0 is
// that of the seal that was opened with it before, or DefaultWorkFactor.
func ByPassphrase(text secrets.Value, work int) (Means, error) {
	if work != 0 && (work < MinWorkFactor || work > MaxWorkFactor) {
		return nil, fmt.Errorf("%w: the work factor of a passphrase must be from %d to %d", secrets.ErrInvalid, MinWorkFactor, MaxWorkFactor)
	}
	if n := text.Len(); n == 0 || n > MaxPassphrase {
		return nil, fmt.Errorf("%w: a passphrase has 1 to %d bytes, this one has %d", secrets.ErrInvalid, MaxPassphrase, n)
	}
	return &byPassphrase{text: text, work: work}, nil
}

// Kind returns Passphrase.
func (*byPassphrase) Kind() Kind { return Passphrase }

// Wrap implements Means. Only a new passphrase must be long and be text: a
// wrong one is just wrong.
func (p *byPassphrase) Wrap(_ context.Context, root []byte) (parameters string, wrapped []byte, err error) {
	if n := p.text.Len(); n < MinPassphrase {
		return "", nil, fmt.Errorf("%w: a passphrase needs at least %d bytes, this one has %d; five random words are a good one", secrets.ErrInvalid, MinPassphrase, n)
	}
	if !utf8.ValidString(p.text.Reveal()) {
		return "", nil, fmt.Errorf("%w: the passphrase is not UTF-8 text", secrets.ErrInvalid)
	}
	recipient, err := age.NewScryptRecipient(p.text.Reveal())
	if err != nil {
		return "", nil, fmt.Errorf("preparing age: %w", err)
	}
	recipient.SetWorkFactor(cmp.Or(p.work, int(p.was.Load()), DefaultWorkFactor))
	var file bytes.Buffer
	encrypted, err := age.Encrypt(&file, recipient)
	if err != nil {
		return "", nil, fmt.Errorf("encrypting with age: %w", err)
	}
	if _, err := encrypted.Write(root); err != nil {
		return "", nil, fmt.Errorf("encrypting with age: %w", err)
	}
	if err := encrypted.Close(); err != nil {
		return "", nil, fmt.Errorf("encrypting with age: %w", err)
	}
	return "{}", file.Bytes(), nil
}

// Unwrap implements Means.
func (p *byPassphrase) Unwrap(_ context.Context, _ string, wrapped, root []byte) error {
	if len(wrapped) > maxSealed {
		return fmt.Errorf("%w: its wrapped root key has %d bytes", secrets.ErrIntegrity, len(wrapped))
	}
	identity, err := age.NewScryptIdentity(p.text.Reveal())
	if err != nil {
		return fmt.Errorf("preparing age: %w", err)
	}
	identity.SetMaxWorkFactor(MaxWorkFactor)
	plain, err := age.Decrypt(bytes.NewReader(wrapped), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return fmt.Errorf("%w: the passphrase is wrong", secrets.ErrDenied)
	}
	if err != nil {
		return fmt.Errorf("%w: reading it with age: %w", secrets.ErrIntegrity, err)
	}
	if _, err := io.ReadFull(plain, root); err != nil {
		return fmt.Errorf("%w: reading it with age: %w", secrets.ErrIntegrity, err)
	}
	if n, _ := plain.Read(make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: it holds more than a root key", secrets.ErrIntegrity)
	}
	if m := scryptLine.FindSubmatch(wrapped); m != nil {
		work, _ := strconv.ParseInt(string(m[1]), 10, 64) // at most two digits
		p.was.Store(min(max(work, MinWorkFactor), MaxWorkFactor))
	}
	return nil
}
