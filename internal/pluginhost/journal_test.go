package pluginhost_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

func TestParseLine(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, level, message, extra string }{
		{`{"@level":"warn","@message":"low","@module":"m","@timestamp":"now"}`, "WARN", "low", ""},
		{`{"@level":"trace","@message":"fine"}`, "DEBUG-4", "fine", ""},
		{`{"@message":1}`, "INFO", "1", ""},
		{`{"@level":5,"@message":"x"}`, "INFO", "x", ""},
		{`{"@message":"x","@module":[1,2]}`, "INFO", "x", ""},
		{`{"@message":"x","extra":[1,2]}`, "INFO", "x", "[1,2]"},
		{`{"@level":5}`, "INFO", `{"@level":5}`, ""},
		{`{"@message":`, "INFO", `{"@message":`, ""},
		{`[1]`, "INFO", `[1]`, ""},
		{"plain\ttext\x1b[0m", "INFO", "plain text [0m", ""},
	}
	for _, test := range tests {
		e := pluginhost.ParseLine([]byte(test.line))
		message, fields := e.Text()
		if e.Level() != test.level || message != test.message || fields["extra"] != test.extra {
			t.Errorf("%s: %s %q %q", test.line, e.Level(), message, fields)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"@level":"warn","@message":"low","@module":"m","a":{"b":[1]}}`))
	f.Add([]byte(`{"@message":1}`))
	f.Add([]byte("{\"@message\":\"\x1b[2J\",\"\x00\":null}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		message, fields := pluginhost.ParseLine(line).Text()
		if len(fields) > pluginhost.MaxFields {
			t.Errorf("%d fields", len(fields))
		}
		texts := []string{message}
		for key, value := range fields {
			texts = append(texts, key, value)
		}
		for _, text := range texts {
			if !utf8.ValidString(text) || len(text) > pluginhost.MaxLine || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("%q is not fit for a log", text)
			}
		}
	})
}
