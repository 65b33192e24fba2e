package plugincheck_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/plugincheck"
)

// A value is found in every form in which it is one, however it is cut.
func TestLeaks(t *testing.T) {
	t.Parallel()
	cases := map[string]func(string) string{
		"as it is":     func(v string) string { return "a line with " + v + " in it" },
		"alone":        func(v string) string { return v },
		"quoted":       func(v string) string { return fmt.Sprintf("%q", v) },
		"in a URL":     func(v string) string { return "https://example.com/?key=" + url.QueryEscape(v) },
		"hexadecimal":  func(v string) string { return hex.EncodeToString([]byte("k=" + v)) },
		"HEXADECIMAL":  func(v string) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) },
		"much before":  func(v string) string { return strings.Repeat("x", 5000) + v },
		"much after":   func(v string) string { return v + strings.Repeat("x", 5000) },
		"Base64":       func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
		"Base64 of 1+": func(v string) string { return base64.StdEncoding.EncodeToString([]byte("1" + v + "12")) },
		"Base64 of 2+": func(v string) string { return base64.URLEncoding.EncodeToString([]byte("12" + v + "1")) },
		"Base64 of 3+": func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte("123" + v)) },
		"Base64 of 50+": func(v string) string {
			return base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("y", 50) + v))
		},
	}
	for name, output := range cases {
		for _, piece := range []int{1, 7, 64, 100_000} {
			if !plugincheck.Leaks(output, piece) {
				t.Errorf("%s, in pieces of %d bytes: not found", name, piece)
			}
		}
	}
	for name, output := range map[string]func(string) string{
		"half of it": func(v string) string { return v[:len(v)/2] },
		"its length": func(v string) string { return fmt.Sprint(len(v)) },
		"nothing":    func(string) string { return "used the key" },
	} {
		if plugincheck.Leaks(output, 7) {
			t.Errorf("%s: found", name)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		output func(string) string
		want   []string
	}{
		{"values are masked", func(v string) string { return "key " + v + "\n" }, []string{"key [redacted]v1"}},
		{"control characters go", func(string) string { return "a\x1b[31mb\xff\n" }, []string{"a [31mb"}},
		{"empty lines go", func(string) string { return "\n \na\n" }, []string{"a"}},
		{"the end needs no newline", func(string) string { return "a\nb" }, []string{"a", "b"}},
		{"long lines are cut", func(string) string { return strings.Repeat("x", 9999) }, []string{strings.Repeat("x", 300) + "…"}},
	} {
		if got := plugincheck.LastLines(c.output); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	many := plugincheck.LastLines(func(string) string { return strings.Repeat("line\n", 1000) + "last" })
	if len(many) != 20 || many[19] != "last" {
		t.Errorf("%d lines, the last is %q", len(many), many[len(many)-1])
	}
}
