package config_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

func TestKeyOrigins(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]string{
		"{}":                                 "[] false",
		"{encryption-key: }":                 "[] false",
		"{encryption-key: k}":                "[configuration] true",
		"{encryption-key: {$file: /k}}":      "[file /k] true",
		"{encryption_key: {$env: K}}":        "[environment variable K] true",
		"{encryption-key: [{$file: /k}, k]}": "[file /k configuration] false",
		"{encryption-key: [{name: n, key: {$env: K}}, {key: k}, 7]}": "[environment variable K configuration configuration] false",
		"{encryption-key: {$file: 7}}":                               "[configuration] true",
	} {
		origins, whole := loadEnv(t, "plugins: {datasette-secrets: "+block+"}", nil).KeyOrigins()
		if got := fmt.Sprint(origins, whole); got != want {
			t.Errorf("%s: got %s, want %s", block, got, want)
		}
	}
	if origins, _ := loadEnv(t, "{}", nil).KeyOrigins(); origins != nil {
		t.Errorf("without a block: %v", origins)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	c := loadEnv(t, `plugins:
  datasette-secrets:
    encryption-key: [{name: a, key: {$file: /b}}, {$file: /a}, {$file: /b}]
    seals: {one: {passphrase: {$file: /c}}, two: {key: {$env: K}}}
    plugins: {demo: {read: [/d]}}
  other: {x: {$file: /e}}`, nil)
	if got := fmt.Sprint(c.SecretFiles()); got != "[/b /a /c]" {
		t.Errorf("got %s", got)
	}
}

func TestLiteralKey(t *testing.T) {
	t.Parallel()
	literal := write(t, "c.yml", "plugins: {datasette-secrets: {encryption-key: k}}")
	reference := write(t, "c.yml", "plugins: {datasette-secrets: {encryption-key: {$env: K}}}")
	set := func(key, value string) [][2]string { return [][2]string{{key, value}} }
	const key = "plugins.datasette-secrets.encryption-key"
	for what, test := range map[string]struct {
		src       config.Source
		file      string
		arguments bool
	}{
		"file":           {config.Source{Files: []string{literal}}, literal, false},
		"metadata":       {config.Source{Metadata: literal}, literal, false},
		"reference":      {config.Source{Files: []string{reference}}, "", false},
		"arguments":      {config.Source{Sets: set(key, "k")}, "", true},
		"list":           {config.Source{Sets: set(key, `["k", {"$env": "K"}]`)}, "", true},
		"block":          {config.Source{Sets: set("plugins.datasette-secrets", `{"encryption-key": "k"}`)}, "", true},
		"arguments' ref": {config.Source{Sets: set(key+".$env", "K")}, "", false},
		"none":           {config.Source{}, "", false},
	} {
		file, arguments := mustLoad(t, test.src).LiteralKey()
		if file != test.file || arguments != test.arguments {
			t.Errorf("%s: got %q, %t", what, file, arguments)
		}
	}
}

// A configuration is read again from where it was; what came from standard
// input stays what it was.
func TestReload(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yml", "plugins: {datasette-secrets: {database: one}}")
	database := func(c *config.Config) string {
		t.Helper()
		own, err := c.Secrets()
		if err != nil {
			t.Fatal(err)
		}
		return own.Database
	}
	c := mustLoad(t, config.Source{Files: []string{file}})
	if err := os.WriteFile(file, []byte("plugins: {datasette-secrets: {database: two}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := c.Reload()
	if err != nil || database(again) != "two" || database(c) != "one" {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(file, []byte("plugins: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reload(); err == nil {
		t.Error("a broken file is read")
	}
	c = mustLoad(t, config.Source{Files: []string{"-"}, Stdin: strings.NewReader("plugins: {datasette-secrets: {database: input}}")})
	for range 3 {
		if c, err = c.Reload(); err != nil || database(c) != "input" {
			t.Fatalf("got %v", err)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, "datasette.yml", "plugins: {datasette-secrets: {encryption-key: [{$file: /k}, {$env: K}]}}")
	reads := mustLoad(t, config.Source{Dir: dir, Metadata: "-", Stdin: strings.NewReader("{}")}).Reads()
	for _, want := range []string{dir + "/datasette.json", dir + "/datasette.yml", dir + "/metadata.json", "/k"} {
		if !slices.Contains(reads, want) {
			t.Errorf("%v does not have %s", reads, want)
		}
	}
	if slices.Contains(reads, "-") {
		t.Error("standard input is a file")
	}
}
