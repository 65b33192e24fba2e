package pluginhost

import (
	"strings"
	"unicode"
)

// clean makes text that a plugin had a part in fit for a page or a log line:
// at most limit bytes, without control characters.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
