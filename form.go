package secrets

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a declaration says about the form of values. Those of a
// pattern keep a comparison below a second, whatever a plugin thinks up.
const (
	MaxPatternValue = 16 << 10 // bytes of a value that is compared with a pattern
	maxPattern      = 500      // bytes
	maxInstructions = 1000     // of the program that a pattern becomes
	maxExample      = 200      // bytes
	maxRedact       = 8        // characters that may be shown of a value
)

// CheckForm returns what is wrong with what the declaration says about the form
// of values, in words for the plugin's author.
func (d Declaration) CheckForm() error {
	if len(d.Pattern) > maxPattern {
		return fmt.Errorf("its pattern has %d bytes, at most %d are allowed", len(d.Pattern), maxPattern)
	}
	if _, err := compile(d.Pattern); err != nil {
		return err
	}
	if len(d.Example) > maxExample {
		return fmt.Errorf("its example has %d bytes, at most %d are allowed", len(d.Example), maxExample)
	}
	if !utf8.ValidString(d.Example) {
		return fmt.Errorf("its example is not UTF-8 text")
	}
	if strings.ContainsFunc(d.Example, func(r rune) bool { return unicode.IsControl(r) && !(r == '\n' && d.Multiline) }) {
		return fmt.Errorf("its example has control characters")
	}
	if r := d.Redact; r.Prefix < 0 || r.Suffix < 0 || r.Prefix > maxRedact || r.Suffix > maxRedact || r.Prefix+r.Suffix > maxRedact {
		return fmt.Errorf("it wants %d and %d characters of a value shown, at most %d together are allowed", r.Prefix, r.Suffix, maxRedact)
	}
	return nil
}

// Fits reports whether the whole of a value matches the declared pattern, if
// there is one. No value fits a pattern that CheckForm refuses, and none that
// is larger than MaxPatternValue.
func (d Declaration) Fits(value Value) bool {
	if d.Pattern == "" {
		return true
	}
	expression, err := compile(d.Pattern)
	return err == nil && value.Len() <= MaxPatternValue && matchesWhole(expression, value.Reveal())
}

// Hint returns the first and last characters of a value, such as "sk-…wxyz". It
// is empty when nothing is to be shown, and for a value that is so short that
// the characters would be more than a quarter of it.
func (r Redact) Hint(value Value) string {
	shown := r.Prefix + r.Suffix
	text := []rune(value.Reveal())
	if shown == 0 || shown > maxRedact || 4*shown > len(text) {
		return ""
	}
	return string(text[:r.Prefix]) + "…" + string(text[len(text)-r.Suffix:])
}

// compile prepares a pattern for matches.
func compile(pattern string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("its pattern is no RE2 expression: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("its pattern is no RE2 expression: %w", err)
	}
	if len(program.Inst) > maxInstructions {
		return nil, fmt.Errorf("its pattern is too complex: %d steps, at most %d are allowed", len(program.Inst), maxInstructions)
	}
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("its pattern is no RE2 expression: %w", err)
	}
	expression.Longest()
	return expression, nil
}

// matchesWhole reports whether a pattern matches a text from its first to its
// last byte. Of all matches, the one found is the longest of those that begin
// first, so that the whole text is found if it is one of them.
func matchesWhole(expression *regexp.Regexp, text string) bool {
	at := expression.FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text)
}
