package audit

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Origin is the first line of every head, and the name of the key that signs
// it.
const Origin = "datasette-secrets/log"

// MaxHead is the size in bytes beyond which no head is read.
const MaxHead = 4 << 10

// Head says what a log was at one time: how many entries, and their hash.
type Head struct {
	Size int64
	Root tlog.Hash
	Time string // UTC, as TimeLayout
}

// Text is the head as a checkpoint, not signed. Its time is an extension line.
func (h Head) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s%s\n", Origin, h.Size, base64.StdEncoding.EncodeToString(h.Root[:]), timePrefix, h.Time)
}

// timePrefix begins the line of a head with its time.
const timePrefix = "time "

// NewKey makes a pair of keys, as texts of package note: the first signs heads
// and is secret, the second verifies them and may be known to everybody.
func NewKey() (signing, verifying string, err error) {
	signing, verifying, err = note.GenerateKey(rand.Reader, Origin)
	if err != nil {
		return "", "", fmt.Errorf("making the key of the log: %w", err)
	}
	return signing, verifying, nil
}

// Sign returns the signed text of a head.
func (h Head) Sign(signing string) (string, error) {
	signer, err := note.NewSigner(signing)
	if err != nil {
		return "", errors.New("signing the head of the log: its key is damaged") // without the key
	}
	signed, err := note.Sign(&note.Note{Text: h.Text()}, signer)
	if err != nil {
		return "", fmt.Errorf("signing the head of the log: %w", err)
	}
	return string(signed), nil
}

// OpenHead reads a signed head and checks that one of the verifying keys signed
// it.
func OpenHead(signed string, verifying ...string) (Head, error) {
	if len(signed) > MaxHead {
		return Head{}, errors.New("it is too long")
	}
	var verifiers []note.Verifier
	for _, key := range verifying {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return Head{}, fmt.Errorf("the public key of the log cannot be read: %w", err)
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifiers...))
	if err != nil {
		return Head{}, fmt.Errorf("its signature is not that of this log: %w", err)
	}
	for _, signature := range opened.Sigs {
		// A head has one spelling only; a lenient decoder takes several.
		raw, err := base64.StdEncoding.DecodeString(signature.Base64)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != signature.Base64 {
			return Head{}, errors.New("its signature is not written as this program writes it")
		}
	}
	return parseHead(opened.Text)
}

func parseHead(text string) (Head, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != Origin || !strings.HasPrefix(lines[3], timePrefix) {
		return Head{}, errors.New("it is not the head of such a log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Head{}, errors.New("its size is not a number")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Head{}, errors.New("its hash is not one")
	}
	return Head{Size: size, Root: tlog.Hash(root), Time: lines[3][len(timePrefix):]}, nil
}
