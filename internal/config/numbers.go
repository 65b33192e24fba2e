package config

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxDigits bounds the length of an integer: reading one takes time that
// grows faster than its length. Python has the same bound.
const maxDigits = 4300

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "yes", "true", "on":
		return true, true
	case "no", "false", "off":
		return false, true
	}
	return false, false
}

// parseInt reads an integer of YAML 1.1: 8, 010, 0x8, 0b1000, 1_000, and 1:30
// in base 60. The result is an int64 or, when that is too small, a
// json.Number.
func parseInt(text string) (any, bool) {
	negative, text := splitSign(strings.ReplaceAll(text, "_", ""))
	if len(text) > maxDigits {
		return nil, false
	}
	n, ok := unsignedInt(text)
	if !ok {
		return nil, false
	}
	if negative {
		n.Neg(n)
	}
	if n.IsInt64() {
		return n.Int64(), true
	}
	return json.Number(n.String()), true
}

func unsignedInt(text string) (*big.Int, bool) {
	base := 10
	switch {
	case strings.HasPrefix(text, "0b"):
		base, text = 2, text[2:]
	case strings.HasPrefix(text, "0x"):
		base, text = 16, text[2:]
	case strings.HasPrefix(text, "0"):
		base = 8
	case strings.Contains(text, ":"):
		return base60(text)
	}
	return new(big.Int).SetString(text, base)
}

func base60(text string) (*big.Int, bool) {
	n, sixty := new(big.Int), big.NewInt(60)
	for part := range strings.SplitSeq(text, ":") {
		digit, ok := new(big.Int).SetString(part, 10)
		if !ok {
			return nil, false
		}
		n.Add(n.Mul(n, sixty), digit)
	}
	return n, true
}

// parseFloat reads a float of YAML 1.1, .inf, .nan and base 60 included. Too
// large a number is infinite.
func parseFloat(text string) (float64, bool) {
	negative, text := splitSign(strings.ToLower(strings.ReplaceAll(text, "_", "")))
	sign := 1.0
	if negative {
		sign = -1
	}
	switch text {
	case ".inf":
		return math.Inf(int(sign)), true
	case ".nan":
		return math.NaN(), true
	}
	// The parts are summed from the last to the first, as Python does, so
	// that the result is the same to the last bit.
	sum, base := 0.0, 1.0
	parts := strings.Split(text, ":")
	for i := len(parts) - 1; i >= 0; i-- {
		part, ok := decimal(parts[i])
		if !ok {
			return 0, false
		}
		sum += part * base
		base *= 60
	}
	return sign * sum, true
}

func decimal(text string) (float64, bool) {
	if strings.ContainsAny(text, "xp") { // Go would read hexadecimal floats
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil || math.IsInf(f, 0)
}

func splitSign(text string) (negative bool, rest string) {
	if text == "" || (text[0] != '-' && text[0] != '+') {
		return false, text
	}
	return text[0] == '-', text[1:]
}

var timeParts = regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})` +
	`(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?` +
	`(?:[ \t]*(?:Z|([-+][0-9]{1,2})(?::([0-9]{2}))?))?)?$`)

// parseTime reads a date or a time. Without a zone it is in UTC. A day or
// hour that does not exist is refused.
func parseTime(text string) (time.Time, bool) {
	part := timeParts.FindStringSubmatch(text)
	if part == nil {
		return time.Time{}, false
	}
	year, month, day := number(part[1]), number(part[2]), number(part[3])
	hour, minute, second := number(part[4]), number(part[5]), number(part[6])
	zone, ok := timeZone(part[8], part[9])
	if !ok || year < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	micro := number((part[7] + "000000")[:6])
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, zone)
	return t, int(t.Month()) == month && t.Day() == day
}

func timeZone(hours, minutes string) (*time.Location, bool) {
	if hours == "" {
		return time.UTC, true
	}
	negative, text := splitSign(hours)
	offset := number(text)*3600 + number(minutes)*60
	if negative {
		offset = -offset
	}
	return time.FixedZone("", offset), offset > -86400 && offset < 86400
}

// number reads a few digits; none are zero.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
