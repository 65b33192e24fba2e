package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

type yamlCase struct{ YAML, Want string }

// TestYAMLAsPyYAML compares with what PyYAML makes of each text.
func TestYAMLAsPyYAML(t *testing.T) {
	t.Parallel()
	var cases []yamlCase
	readVectors(t, "testdata/yaml.json", &cases)
	for _, c := range cases {
		v, err := config.ParseYAML([]byte(c.YAML))
		got := show(v)
		if err != nil {
			got = "error"
		}
		want := c.Want
		if strings.Contains(want, "unsupported") { // a type that the tree does not have
			want = "error"
		}
		if unescape(got) != unescape(want) {
			t.Errorf("%q: got %s (%v), PyYAML has %s", c.YAML, got, err, c.Want)
		}
	}
}

func TestYAMLErrors(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	cases := []struct{ name, yaml, want string }{
		{"bad integer", "a: 1\nb: !!int hunter2\n", "line 2: not a valid int; put it in quotes if it is text"},
		{"impossible date", "a: 2024-13-01\n", "line 1: not a valid timestamp; put it in quotes if it is text"},
		{"unknown tag", "a: !vault hunter2\n", `line 1: the tag "!vault" is not supported`},
		{"set", "a: !!set {b}\n", `line 1: the tag "!!set" is not supported for a mapping`},
		{"equals sign", "a: =\n", `line 1: "=" has a meaning of its own in YAML; put it in quotes`},
		{"colon before a comma", "a: {database:, b: 1}\n", `line 1: inside {} and [], a ":" should be followed by a space`},
		{"colon before a bracket", "a: 1\nb: [hunter2:]\n", `line 2: inside {} and [], a ":" should be followed by a space`},
		{"list as key", "[a]: 1\n", "line 1: a key should be a single value, not a list"},
		{"second document", "a: 1\n---\nb: 1\n", "line 2: a second document begins; only one is allowed"},
		{"merge of text", "a: {<<: hunter2}\n", `line 1: "<<" should be followed by a mapping or a list of mappings`},
		{"password as alias", "a: 1\nb: *hunter2\n", `line 2: a value that begins with "*" refers to an anchor that is not there; put it in quotes if it is text`},
		{"control character", "a: 1\nb: \x01\n", "line 2: a control character that cannot be shown"},
		{"tab", "a:\n\tb: 1\n", "near line 2: found character that cannot start any token"},
		{"first line", "a: b: c\n", "near line 1: mapping values are not allowed in this context"},
		{"anchor in itself", "a: &x [*x]\n", "nested too deeply, or an anchor that contains itself"},
		{"anchor in itself by merge", "a: &x {<<: *x}\n", "nested too deeply, or an anchor that contains itself"},
		{"deep", deep, "nested too deeply, or an anchor that contains itself"},
		{"not text", "a: \xff\n", "not UTF-8 text"},
		{"too many digits", "a: " + strings.Repeat("9", 5000), "line 1: not a valid int; put it in quotes if it is text"},
		{"large", strings.Repeat(" ", 4<<20+1), "larger than 4 MiB"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, err := config.ParseYAML([]byte(c.yaml))
			if err == nil {
				t.Fatalf("no error, but %.100v", v)
			}
			if !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a value: %v", err)
			}
		})
	}
}

// TestAliasBombs: small files that would be enormous with their aliases
// written out are refused.
func TestAliasBombs(t *testing.T) {
	t.Parallel()
	laughs, merges := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", "a0: &a0 {x: 1}\n"
	for i := range 30 {
		ten := strings.Repeat(fmt.Sprintf("*a%d,", i), 10)
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, ten)
		merges += fmt.Sprintf("a%d: &a%d {<<: [%s]}\n", i+1, i+1, ten)
	}
	long := "a: &a " + strings.Repeat("x", 50_000) + "\nb: [" + strings.Repeat("*a,", 1000) + "]\n"
	for name, text := range map[string]string{"lists": laughs, "merges": merges, "long text": long} {
		_, err := config.ParseYAML([]byte(text)) // without a limit this would not end
		if err == nil || !strings.Contains(err.Error(), "the aliases in this file repeat too much") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestYAMLSharesNothing(t *testing.T) {
	t.Parallel()
	v, err := config.ParseYAML([]byte("a: &x {k: 1}\nb: *x\n"))
	if err != nil {
		t.Fatal(err)
	}
	tree := v.(map[string]any)
	tree["a"].(map[string]any)["k"] = "changed"
	if got := tree["b"].(map[string]any)["k"]; got != int64(1) {
		t.Errorf("b.k is %v", got)
	}
}
