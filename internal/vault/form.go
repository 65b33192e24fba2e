package vault

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Limits of what a declaration says about the form of values. Those of a
// pattern keep a check below a second, whatever a plugin thinks up.
const (
	maxPattern      = 500      // bytes
	maxInstructions = 1000     // of the program that a pattern becomes
	maxPatternValue = 16 << 10 // bytes of a value that is compared with a pattern
	maxExample      = 200      // bytes
	maxRedact       = 8        // characters that may be shown of a value
)

// checkFormOf checks what a declaration says about the form of values.
func checkFormOf(d secrets.Declaration) error {
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

// checkForm refuses a value that is not what the secret's declaration expects.
// The error holds nothing of the value.
func (v *Vault) checkForm(name string, value secrets.Value) error {
	d := v.declarations.Load().byName[name]
	if d.Pattern == "" {
		return nil
	}
	if value.Len() > maxPatternValue {
		return fmt.Errorf("%w: the secret has %d bytes, at most %d are allowed of one that has to match a pattern", secrets.ErrInvalid, value.Len(), maxPatternValue)
	}
	expression, err := compile(d.Pattern)
	if err != nil {
		return fmt.Errorf("checking a value of %s: %w", name, err) // it was checked when it was declared
	}
	if matchesWhole(expression, value.Reveal()) {
		return nil
	}
	if d.Example == "" {
		return fmt.Errorf("%w: the secret does not have the form that %s needs; nothing was stored", secrets.ErrInvalid, name)
	}
	return fmt.Errorf("%w: the secret does not have the form that %s needs, such as %s; nothing was stored", secrets.ErrInvalid, name, d.Example)
}
