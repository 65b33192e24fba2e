package secrets_test

import (
	"regexp"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// No pattern matches anything but whole values, and none that was allowed
// fails later.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{"", "sk-[a-z]{3}", `\Q`, "(?i)", "a)|(b", "(a*)*", "[[:alpha:]]", `\pL+`} {
		f.Add(pattern, "sk-abc")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(text) > 1000 || len(pattern) > 500 {
			return
		}
		d := secrets.Declaration{Pattern: pattern}
		if d.CheckForm() != nil || pattern == "" { // no pattern at all fits everything
			return
		}
		anchored, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
		if err != nil { // a quotation without an end, \Q
			return
		}
		if got := d.Fits(secrets.NewValue(text)); got != anchored.MatchString(text) {
			t.Errorf("%q, %q: %t", pattern, text, got)
		}
	})
}
