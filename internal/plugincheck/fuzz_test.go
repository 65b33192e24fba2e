package plugincheck_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/datasette-secrets/datasette-secrets/internal/plugincheck"
)

// Whatever a program prints first, what is said about it is fit for a terminal.
func FuzzHandshake(f *testing.F) {
	for _, line := range []string{
		"1|1|unix|/run/s/plugin1|grpc|\n", "1|1|unix|/run/s/plugin1|grpc", "1|1|tcp|127.0.0.1:1|grpc|QUFB|true\n",
		"", "\n", "||||||||", "2|1|unix|a|grpc", "1|1|unix|a|netrpc", "Hello\x1b[31m\xff\n", " 1|1|unix|a|grpc",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		err := plugincheck.Handshake(line)
		if err == nil {
			if fields := strings.Split(strings.TrimSuffix(line, "\n"), "|"); len(fields) < 5 || fields[0] != "1" || fields[1] != "1" || fields[4] != "grpc" {
				t.Errorf("%q is taken for a handshake", line)
			}
			return
		}
		text := err.Error()
		odd := func(r rune) bool { return !unicode.IsPrint(r) }
		if !utf8.ValidString(text) || strings.ContainsFunc(text, odd) || len(text) > 1000 {
			t.Errorf("%q: %q", line, text)
		}
	})
}
