package signing_test

import (
	"math"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

func TestBase62(t *testing.T) {
	t.Parallel()
	cases := map[int64]string{
		0: "A", 1: "B", 25: "Z", 26: "0", 35: "9", 36: "a", 61: "z", 62: "BA",
		1000000000: "BFftgQ", 1893456000: "CEIkYu", -5: "-F",
		math.MaxInt64: "KzVInA8FImH", math.MinInt64: "-KzVInA8FImI",
	}
	for n, text := range cases {
		if got := signing.EncodeBase62(n); got != text {
			t.Errorf("EncodeBase62(%d) = %s, want %s", n, got, text)
		}
		if got, err := signing.DecodeBase62(text); err != nil || got != n {
			t.Errorf("DecodeBase62(%s) = %d, %v; want %d", text, got, err, n)
		}
	}
}

func TestBase62LeadingZeros(t *testing.T) {
	t.Parallel()
	if got, err := signing.DecodeBase62("AAAAAAAAAAAAAAAAAAAAB"); err != nil || got != 1 {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestBase62Refuses(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", "-", "--B", "B-", "!!", "B B", " B", "B\n", "ë", "\x00", "1.5", "+B",
		"KzVInA8FImI", "-KzVInA8FImJ", "zzzzzzzzzzz", "BAAAAAAAAAAAAAAAA",
	}
	for _, text := range texts {
		if got, err := signing.DecodeBase62(text); err == nil {
			t.Errorf("DecodeBase62(%q) = %d", text, got)
		}
	}
}
