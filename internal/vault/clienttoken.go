package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// A client's token is "dssc_", 43 random letters and digits, and six that are
// a checksum of what stands before them: with it, a typing error is told from a
// wrong token, and scanners of published files from an accident.
//
// Of a token only its SHA-256 is kept. A slow hash, as passwords need one,
// would gain nothing: nobody tries out 256 random bits, however fast. And it
// would cost time with each request, also with those of strangers.
const (
	clientTokenPrefix = "dssc_"
	clientTokenRandom = 43 // base 62 digits, for 256 bits
	clientTokenCheck  = 6  // base 62 digits, for the 32 bits of CRC-32
	clientTokenLength = len(clientTokenPrefix) + clientTokenRandom + clientTokenCheck

	tokenDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// clientTokenHash is what is kept of a token.
type clientTokenHash [sha256.Size]byte

// newClientToken makes a token up.
func newClientToken() (secrets.Value, clientTokenHash) {
	digits := make([]byte, 0, clientTokenRandom)
	for len(digits) < clientTokenRandom {
		var raw [64]byte
		rand.Read(raw[:]) // never fails: it ends the program instead
		for _, b := range raw {
			// Of the numbers from 248 some digits would come more often.
			if b < 248 && len(digits) < clientTokenRandom {
				digits = append(digits, tokenDigits[b%62])
			}
		}
	}
	body := clientTokenPrefix + string(digits)
	token := body + clientTokenChecksum(body)
	return secrets.NewValue(token), sha256.Sum256([]byte(token))
}

// clientTokenChecksum is the end of a token that begins with body.
func clientTokenChecksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var digits [clientTokenCheck]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = tokenDigits[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// CheckClientToken tells whether a text could be a client's token. The error is
// an ErrDenied that says what is wrong with it, without repeating any of it.
func CheckClientToken(token string) error {
	if !strings.HasPrefix(token, clientTokenPrefix) {
		return fmt.Errorf("%w: a client token begins with %s", secrets.ErrDenied, clientTokenPrefix)
	}
	if len(token) != clientTokenLength {
		return fmt.Errorf("%w: a client token has %d characters, and this one has %d", secrets.ErrDenied, clientTokenLength, len(token))
	}
	body, check := token[:clientTokenLength-clientTokenCheck], token[clientTokenLength-clientTokenCheck:]
	if strings.Trim(body[len(clientTokenPrefix):], tokenDigits) != "" || check != clientTokenChecksum(body) {
		return fmt.Errorf("%w: the client token is damaged; copy it again as it was printed", secrets.ErrDenied)
	}
	return nil
}
