package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

func sealsOf(t *testing.T, seals string, env map[string]string) ([]config.SealMeans, *config.Config, error) {
	t.Helper()
	loaded, err := config.Load(config.Source{
		Sets: [][2]string{{"plugins.datasette-secrets.seals", seals}},
		Env:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := loaded.Seals()
	return all, loaded, err
}

func TestSeals(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, loaded, err := sealsOf(t, `{"paper": {"passphrase": {"$file": "`+file+`"}}, "machine": {"key": {"$env": "K"}},
		"gone": {"key": {"$file": "/nowhere/key"}}, "unset": {"key": {"$env": "NOT_SET"}},
		"hsm": {"uri": "pkcs11:token=prod", "pin": {"$env": "P"}}}`, map[string]string{"K": "the key", "P": "1234"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, fmt.Sprintf("%s|%s|%q|%q|%t", m.Name, m.Way, m.Text, m.PIN, m.Err != nil))
	}
	want := []string{
		`gone|key|""|""|true`, `hsm|uri|"pkcs11:token=prod"|"1234"|false`, `machine|key|"the key"|""|false`,
		`paper|passphrase|"correct horse\n"|""|false`, `unset|key|""|""|true`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What is missing stops no start, and nothing of it is shown.
	if _, err := loaded.Secrets(); err != nil {
		t.Errorf("the start fails: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", all, all[1], all); strings.Contains(text, "1234") || strings.Contains(text, "the key") || strings.Contains(text, "horse") {
		t.Errorf("prints %s", text)
	}
}

func TestSealsRefuses(t *testing.T) {
	t.Parallel()
	for seals, want := range map[string]string{
		`[]`:                               "should be a mapping",
		`{"a": "hunter2"}`:                 "should be a mapping",
		`{"a": {}}`:                        "should have passphrase, key or uri",
		`{"a": {"key": "hunter2"}}`:        "not the text itself",
		`{"a": {"passphrase": "hunter2"}}`: "not the text itself",
		`{"a": {"passphrase": {"$env": "X", "b": "hunter2"}}}`: "not the text itself",
		`{"a": {"uri": "pkcs11:token=a", "pin": "hunter2"}}`:   "not the text itself",
		`{"a": {"uri": {"$env": "X"}}}`:                        "should be a text",
		`{"a": {"uri": "pkcs11:token=a?Pin-Value=hunter2"}}`:   "pin-value is refused",
		`{"a": {"key": {"$env": "X"}, "pin": {"$env": "X"}}}`:  "pin belongs to a uri",
		`{"a": {"key": {"$env": "X"}, "uri": "pkcs11:"}}`:      "both",
		`{"a": {"keys": {"$env": "X"}}}`:                       `did you mean "key"`,
	} {
		_, _, err := sealsOf(t, seals, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", seals, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows what it refuses: %v", err)
		}
	}
	if all, _, err := sealsOf(t, `null`, nil); err != nil || all != nil {
		t.Errorf("got %v, %v", all, err)
	}
}
