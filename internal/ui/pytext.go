package ui

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pythonStrip trims what Python's str.strip does: Unicode's white space and
// the four separators U+001C to U+001F, which Go does not count.
func pythonStrip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f
	})
}

// pythonRepr quotes the bytes of a header as Python's repr quotes the text it
// makes of them (ISO 8859-1).
func pythonRepr(header string) string {
	quote := byte('\'')
	if strings.Contains(header, "'") && !strings.Contains(header, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for i := range len(header) {
		reprByte(&b, header[i], quote)
	}
	b.WriteByte(quote)
	return b.String()
}

func reprByte(b *strings.Builder, c, quote byte) {
	switch {
	case c == quote || c == '\\':
		b.WriteByte('\\')
		b.WriteByte(c)
	case c == '\n':
		b.WriteString(`\n`)
	case c == '\r':
		b.WriteString(`\r`)
	case c == '\t':
		b.WriteString(`\t`)
	case !unicode.IsPrint(rune(c)):
		fmt.Fprintf(b, `\x%02x`, c)
	default:
		b.WriteRune(rune(c))
	}
}

// codePoints is Python's len of a str.
func codePoints(s string) int { return utf8.RuneCountInString(s) }
