package access

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits is where Python stops reading an integer from JSON, and where
// comparing one would begin to take noticeable time.
const maxDigits = 4300

// number is an integer of any size or a float, as in Python: integer is nil for
// a float.
type number struct {
	integer *big.Int
	float   float64
}

func intNumber(n int64) number { return number{integer: big.NewInt(n)} }

// numberOf reads a number of a JSON or YAML tree. A bool is none.
func numberOf(v any) (number, bool) {
	switch v := v.(type) {
	case int:
		return intNumber(int64(v)), true
	case int64:
		return intNumber(v), true
	case uint64:
		return number{integer: new(big.Int).SetUint64(v)}, true
	case float64:
		return number{float: v}, true
	case json.Number:
		return parse(v.String())
	}
	return number{}, false
}

// parse reads a JSON number. One with a fraction or an exponent is a float, and
// an infinite one if it is too large for it.
func parse(text string) (number, bool) {
	if strings.Trim(text, "+-.0123456789eE") != "" {
		return number{}, false // strconv and big know more spellings
	}
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		return number{float: f}, err == nil || math.IsInf(f, 0)
	}
	if len(text) > maxDigits {
		return number{}, false
	}
	n, ok := new(big.Int).SetString(text, 10)
	return number{integer: n}, ok
}

func (n number) isInt() bool { return n.integer != nil }

// equal compares values exactly: 1 equals 1.0, but 2^53+1 does not equal the
// float nearest to it.
func (n number) equal(m number) bool {
	switch {
	case n.isInt() && m.isInt():
		return n.integer.Cmp(m.integer) == 0
	case n.isInt():
		return m.equal(n)
	case m.isInt():
		return equalFloat(m.integer, n.float)
	}
	return n.float == m.float
}

func equalFloat(n *big.Int, f float64) bool {
	if math.IsInf(f, 0) || f != math.Trunc(f) { // the second is also true of NaN
		return false
	}
	i, _ := big.NewFloat(f).Int(nil)
	return n.Cmp(i) == 0
}
