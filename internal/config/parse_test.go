package config_test

import (
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

func TestParse(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"JSON", `{"a": 1, "b": [true, null, "x"]}`, `{"a": int 1, "b": [true, null, str "x"]}`},
		{"JSON, last key wins", `{"a": {"b": 1}, "a": {"c": 2}}`, `{"a": {"c": int 2}}`},
		{"JSON string that YAML would read otherwise", `{"a": "on"}`, `{"a": str "on"}`},
		{"YAML", "a: on\n", `{"a": true}`},
		{"YAML in JSON's clothes", "{a: on, b: [1,],}", `{"a": true, "b": [int 1]}`},
		{"JSON with a trailing comma is YAML", `{"a": 1,}`, `{"a": int 1}`},
		{"large number", `{"a": 123456789012345678901234567890}`, `{"a": int 123456789012345678901234567890}`},
		{"empty", "", "null"},
		{"null", "null", "null"},
		{"byte order mark", "\ufeff{\"a\": 1}", `{"a": int 1}`},
	}
	for _, c := range cases {
		v, err := config.Parse([]byte(c.text))
		if got := show(v); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"JSON is what was meant", "{\n \"a\": 1,\n \"b\" 2}", "not valid JSON or YAML: line 3: invalid character '2' after object key"},
		{"JSON that ends early", "{\n \"a\": 1", "not valid JSON or YAML: line 2: the text ends too early"},
		{"two JSON values", "{\"a\": 1}\n{\"b\": 2}", "not valid JSON or YAML: line 2: more text after the end of the value"},
		{"YAML is what was meant", "a: 1\nb: 'x\n", "not valid JSON or YAML: near line 2: found unexpected end of stream"},
		{"not text", "\xff", "not UTF-8 text"},
	}
	for _, c := range cases {
		v, err := config.Parse([]byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, %v; want %s", c.name, v, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "{}", "a: on", `{"a": [1, "x"]}`, "a: &x {b: 1}\nc: {<<: *x}\n", "- 2024-01-01\n- 1:30\n- .inf\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := config.Parse(data)
		if err == nil {
			checkTree(t, v)
		}
	})
}

func FuzzParseYAML(f *testing.F) {
	var cases []yamlCase
	readVectors(f, "testdata/yaml.json", &cases)
	for _, c := range cases {
		f.Add([]byte(c.YAML))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := config.ParseYAML(data)
		if err == nil {
			checkTree(t, v)
		}
	})
}

// checkTree fails for a type that the tree does not have.
func checkTree(t *testing.T, v any) {
	t.Helper()
	if text := show(v); strings.Contains(text, "unexpected ") && !strings.Contains(text, `"`) {
		t.Errorf("the tree holds an %s", text)
	}
}
