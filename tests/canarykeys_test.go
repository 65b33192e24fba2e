package tests

import (
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands about keys handle every key and value there is. None of them
// prints one, or leaves one in any file but the key file.
func TestKeysStayInTheirFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "the.key")
	harness.WriteFile(t, keyFile, harness.Key+"\n", 0o600)
	args := []string{"--internal", "internal.db", "-s", "plugins.datasette-secrets.encryption-key.$file", keyFile}
	probe := harness.NewProbe(t, "CANARY")
	p := harness.Start(t, harness.Options{NoKey: true, Dir: dir, Args: append(append(probe.Args, "--root"), args...)})
	p.SetSecret(t, "CANARY", canary, "", secrets.NewActor("root"))
	keys := []string{harness.Key}
	var seen []found
	for _, command := range []string{
		"key status", "key add", "key status --json", "key rotate --resume", "key retire default", "key rotate", "key rotate --resume --json",
		"doctor", "doctor --json", "key retire nosuch", "key rotate --new-key-file internal.db", "key rotate --new-key-file the.key", "key retire k2",
	} {
		r := harness.RunCommand(t, dir, harness.Env("TMPDIR="+dir), harness.Binary(t), append(strings.Fields(command), args...)...)
		seen = append(seen, found{command, r.Stdout + r.Stderr})
		text, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.Fields(string(text))...)
		if value, err := probe.Get(t, "CANARY", "reader"); err != nil || value != canary {
			t.Errorf("after %s the plugin reads %q, %v", command, value, err)
		}
	}
	seen = append(seen, found{"the host's log", p.Stderr.String()})
	p.Stop(t)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || path == keyFile {
			return err
		}
		data, err := os.ReadFile(path)
		seen = append(seen, found{"file " + filepath.Base(path), string(data)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) < 10 {
		t.Errorf("only %d keys were in the file", len(keys))
	}
	for _, f := range seen {
		for _, key := range keys {
			raw, err := base64.URLEncoding.DecodeString(key)
			if err != nil {
				t.Fatalf("the key file holds something else: %v", err)
			}
			for _, form := range []string{strings.TrimRight(key, "="), string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString([]byte(key))[:40]} {
				if strings.Contains(f.text, form) {
					t.Errorf("%s holds a key", f.where)
				}
			}
		}
		if strings.Contains(f.text, canary) {
			t.Errorf("%s holds the value", f.where)
		}
	}
}
