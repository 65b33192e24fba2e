package pluginhost

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxLevels = 3  // how often a text may be escaped within a text that is escaped
	maxEscape = 12 // bytes of the longest escape
)

// view is a text without its escapes, which remembers where each byte comes
// from.
type view struct {
	text string
	at   []int // where each byte was in the original, and its end; nil: where it is
}

// origin is the place in the original text.
func (v view) origin(i int) int {
	if v.at == nil {
		return i
	}
	return v.at[i]
}

// views are all the ways in which a text may be meant.
func views(text string) []view {
	all := []view{{text: text}}
	for level := 0; level < maxLevels && strings.Contains(all[level].text, `\`); level++ {
		all = append(all, all[level].decode('\\', backslash))
	}
	for _, v := range all {
		if strings.Contains(v.text, "%") {
			all = append(all, v.decode('%', percent))
		}
		if strings.Contains(v.text, "+") {
			spaced := v.decode('+', plus)
			all = append(all, spaced)
			if strings.Contains(v.text, "%") {
				all = append(all, spaced.decode('%', percent))
			}
		}
	}
	return all
}

// plus is a space, in the query of a URL.
func plus(string) (string, int) { return " ", 1 }

// beforeEscapes is a text that was cut off without the escapes at its end, of
// which the last may lack something.
func beforeEscapes(text string) string {
	for range maxLevels {
		tail := text[max(0, len(text)-maxEscape):]
		i := strings.LastIndexAny(tail, `\%`)
		if i < 0 {
			break
		}
		text = strings.TrimRight(text[:len(text)-len(tail)+i], `\`)
	}
	return text
}

// decode undoes the escapes that begin with mark. read returns what an escape
// means and how long it is; 0 if it is none.
func (v view) decode(mark byte, read func(rest string) (decoded string, length int)) view {
	var out strings.Builder
	at := make([]int, 0, len(v.text)+1)
	for i := 0; i < len(v.text); {
		decoded, length := v.text[i:i+1], 1
		if v.text[i] == mark {
			if d, n := read(v.text[i:]); n > 0 {
				decoded, length = d, n
			}
		}
		for range len(decoded) {
			at = append(at, v.origin(i))
		}
		out.WriteString(decoded)
		i += length
	}
	return view{out.String(), append(at, v.origin(len(v.text)))}
}

// percent reads %XX.
func percent(rest string) (string, int) {
	if c, ok := hexByte(rest, 1); ok {
		return string([]byte{c}), 3
	}
	return "", 0
}

// backslash reads the escapes of JSON, JavaScript, Go and Python.
func backslash(rest string) (string, int) {
	if len(rest) < 2 {
		return "", 0
	}
	switch c := rest[1]; c {
	case 'n':
		return "\n", 2
	case 'r':
		return "\r", 2
	case 't':
		return "\t", 2
	case 'b':
		return "\b", 2
	case 'f':
		return "\f", 2
	case 'v':
		return "\v", 2
	case 'a':
		return "\a", 2
	case '"', '\'', '\\', '/', '`':
		return rest[1:2], 2
	case 'x':
		if c, ok := hexByte(rest, 2); ok {
			return string([]byte{c}), 4
		}
	case 'u':
		return unicodeEscape(rest)
	case 'U':
		if r, ok := hexRune(rest, 2, 8); ok {
			return string(r), 10
		}
	}
	return "", 0
}

// unicodeEscape reads \uXXXX, or two of them that are one character.
func unicodeEscape(rest string) (string, int) {
	r, ok := hexRune(rest, 2, 4)
	if !ok {
		return "", 0
	}
	if utf16.IsSurrogate(r) && len(rest) >= 8 && rest[6:8] == `\u` {
		low, ok := hexRune(rest, 8, 4)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return string(pair), 12
		}
	}
	return string(r), 6
}

func hexByte(text string, from int) (byte, bool) {
	r, ok := hexRune(text, from, 2)
	return byte(r), ok
}

// hexRune reads so many hexadecimal digits.
func hexRune(text string, from, digits int) (rune, bool) {
	if len(text) < from+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[from:from+digits], 16, 32)
	return rune(n), err == nil && n <= utf8.MaxRune
}
