package ui_test

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

// What Python 3.11's dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True)) returns.
func TestFormsAreParsedAsByPython(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body string
		want map[string]string
	}{
		{"", map[string]string{}},
		{"a=1&b=2", map[string]string{"a": "1", "b": "2"}},
		{"a=1&a=2", map[string]string{"a": "2"}},
		{"a", map[string]string{"a": ""}},
		{"a=", map[string]string{"a": ""}},
		{"=a", map[string]string{"": "a"}},
		{"&&a=1&", map[string]string{"a": "1"}},
		{"a=1;b=2", map[string]string{"a": "1;b=2"}},
		{"a=b=c", map[string]string{"a": "b=c"}},
		{"a+b=c+d", map[string]string{"a b": "c d"}},
		{"a=%2B%26%3D%25", map[string]string{"a": "+&=%"}},
		{"a=%", map[string]string{"a": "%"}},
		{"a=%2", map[string]string{"a": "%2"}},
		{"a=%zz%41", map[string]string{"a": "%zzA"}},
		{"a=%c3%A9", map[string]string{"a": "é"}},
		{"a=%FF", map[string]string{"a": "\ufffd"}},
		{"a=é", map[string]string{"a": "é"}},
		{"a=%00", map[string]string{"a": "\x00"}},
	} {
		got, err := ui.ParseForm([]byte(c.body))
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v, want %q", c.body, got, err, c.want)
		}
	}
	if _, err := ui.ParseForm([]byte("a=\xff")); err == nil {
		t.Error("a body that is not UTF-8 is accepted")
	}
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"secret=hunter2&note=a+b", "a=%zz&%=%4", "a=%FF%C3", "=&&;=", "\xff", "a=1&a=2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ui.ParseForm(body)
		if utf8.Valid(body) != (err == nil) {
			t.Fatalf("%q: %v", body, err)
		}
		for name, value := range got {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				t.Fatalf("%q: field %q=%q is not UTF-8", body, name, value)
			}
		}
		// Where Go's own parser is as tolerant, both agree.
		want, err := url.ParseQuery(string(body))
		if err != nil || got == nil {
			return
		}
		for name, values := range want {
			if value := values[len(values)-1]; utf8.ValidString(name+value) && got[name] != value {
				t.Fatalf("%q: field %q is %q, net/url says %q", body, name, got[name], value)
			}
		}
	})
}

func TestStripAsPython(t *testing.T) {
	t.Parallel()
	const space = "\t\n\v\f\r\x1c\x1d\x1e\x1f \u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
	if got := ui.PythonStrip(space + "a" + space + "b" + space); got != "a"+space+"b" {
		t.Errorf("got %q", got)
	}
	for _, kept := range []string{"\u200b", "\ufeff", "\x00", "\x1b"} {
		if got := ui.PythonStrip(kept); got != kept {
			t.Errorf("%q is stripped", kept)
		}
	}
}

func TestReprAsPython(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"null": "'null'", "it's": `"it's"`, `'"`: `'\'"'`, "a\\\n\r\t\x00\x7f": `'a\\\n\r\t\x00\x7f'`, "\xe9\xad\xa0": `'é\xad\xa0'`,
	} {
		if got := ui.PythonRepr(in); got != want {
			t.Errorf("repr of %q is %s, want %s", in, got, want)
		}
	}
}

func TestJSONAsPython(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "null"}, {true, "true"}, {1, "1"}, {1.0, "1.0"}, {1.5, "1.5"}, {int64(-3), "-3"},
		{"é☃😀<>&\"\\/\n\t\x00\x7f", `"\u00e9\u2603\ud83d\ude00<>&\"\\/\n\t\u0000` + "\x7f\""},
		{"\xff", `"\ufffd"`},
		{[]any{}, "[]"}, {map[string]any{}, "{}"},
		{map[string]any{"b": []any{1, "x"}, "a": nil}, `{"a": null, "b": [1, "x"]}`},
		{[]string{"a", "b"}, `["a", "b"]`},
	} {
		if got := ui.PythonJSON(c.v); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	want := "{\n  \"a\": [\n    \"é\"\n  ],\n  \"b\": {}\n}"
	if got := ui.ReadableJSON(map[string]any{"a": []any{"é"}, "b": map[string]any{}}); got != want {
		t.Errorf("got %s", got)
	}
	if strings.Contains(ui.PythonJSON("\u2028"), "\u2028") {
		t.Error("U+2028 is not escaped")
	}
}
