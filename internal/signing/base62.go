package signing

import (
	"errors"
	"math"
	"strings"
)

// alphabet is the order that Datasette took from Django, which is not the
// usual one.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz"

var (
	errBase62      = errors.New("not a base 62 number")
	errBase62Range = errors.New("base 62 number out of range")
)

// EncodeBase62 writes a number with the digits A–Z, 0–9, a–z.
func EncodeBase62(n int64) string {
	if n < 0 {
		// Minus the smallest int64 is no int64, but wraps to the right uint64.
		return "-" + encodeDigits(-uint64(n))
	}
	return encodeDigits(uint64(n))
}

func encodeDigits(u uint64) string {
	var digits [11]byte // 62^11 is above 2^64
	i := len(digits) - 1
	for ; u >= 62; i-- {
		digits[i] = alphabet[u%62]
		u /= 62
	}
	digits[i] = alphabet[u]
	return string(digits[i:])
}

// DecodeBase62 reads what EncodeBase62 writes. A number that does not fit in
// an int64 is an error.
func DecodeBase62(s string) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	u, err := decodeDigits(digits, limit)
	if err != nil {
		return 0, err
	}
	if negative {
		return -int64(u), nil
	}
	return int64(u), nil
}

func decodeDigits(digits string, limit uint64) (uint64, error) {
	if digits == "" || strings.Trim(digits, alphabet) != "" {
		return 0, errBase62
	}
	var u uint64
	for i := range len(digits) {
		d := uint64(strings.IndexByte(alphabet, digits[i]))
		if u > (limit-d)/62 {
			return 0, errBase62Range
		}
		u = u*62 + d
	}
	return u, nil
}
