package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.key")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A text of several lines is a list of keys.
func TestLinesAreKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		keyA:                     "default",
		"\n " + keyA + " \r\n\n": "default",
		keyB + "\n" + keyA:       "k2 default",
		keyC + "\r\n\n" + keyB + "\n" + keyA + "\n": "k3 k2 default",
	} {
		if got := strings.Join(parse(t, text).Names(), " "); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	_, err := keyring.Parse(keyA + "\nshort")
	if err == nil || !strings.Contains(err.Error(), "entry 2 of 2") || strings.Contains(err.Error(), "short") {
		t.Errorf("got %v", err)
	}
}

func TestCreateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	if err := keyring.CreateFile(path, secrets.NewValue(keyA)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || content(t, path) != keyA+"\n" {
		t.Errorf("got %v, %v", info, err)
	}
	if err := keyring.CreateFile(path, secrets.NewValue(keyB)); err == nil || content(t, path) != keyA+"\n" {
		t.Errorf("a file is replaced: %v", err)
	}
}

// A key goes in front and another one leaves; who may read the file stays as it
// was, and a link to it stays a link.
func TestChangeFile(t *testing.T) {
	t.Parallel()
	path := keyFile(t, keyA+"\n", 0o640)
	link := filepath.Join(t.TempDir(), "link.key")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	// What somebody who was killed left behind.
	if err := os.WriteFile(path+".new", []byte("half"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := keyring.AddToFile(link, secrets.NewValue(" "+keyB+"\n"), parse(t, keyA)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != keyB+"\n"+keyA+"\n" {
		t.Errorf("the file has %d characters", len(got))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v", info, err)
	}
	if _, err := os.Lstat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("something is left behind: %v", err)
	}
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link is %q, %v", target, err)
	}
	both := parse(t, content(t, path))
	if err := keyring.DropFromFile(link, "k3", both); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("dropping a key that is not there: %v", err)
	}
	if err := keyring.DropFromFile(link, "default", both); err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != keyB+"\n" {
		t.Errorf("the file has %d characters", len(got))
	}
	if err := keyring.DropFromFile(path, "default", parse(t, keyB)); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("dropping the last key: %v", err)
	}
}

func TestChangeFileRefuses(t *testing.T) {
	t.Parallel()
	path := keyFile(t, keyA+"\n", 0o600)
	for what, test := range map[string]struct {
		path, key string
		ring      *keyring.Keyring
		want      error
	}{
		"changed meanwhile": {path, keyB, parse(t, keyC), secrets.ErrUnavailable},
		"no key":            {path, "hunter2", parse(t, keyA), secrets.ErrInvalid},
		"two keys":          {path, keyB + "\n" + keyC, parse(t, keyA), secrets.ErrInvalid},
		"a folder":          {filepath.Dir(path), keyB, parse(t, keyA), secrets.ErrInvalid},
		"nothing":           {path + ".nosuch", keyB, parse(t, keyA), os.ErrNotExist},
		"a device":          {"/dev/null", keyB, parse(t, keyA), secrets.ErrInvalid},
	} {
		err := keyring.AddToFile(test.path, secrets.NewValue(test.key), test.ring)
		if !errors.Is(err, test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if content(t, path) != keyA+"\n" {
		t.Error("the file was changed")
	}
}

// Of many who put a key in front at once, one after the other does, and whoever
// reads meanwhile reads whole files.
func TestFileIsChangedAtOnce(t *testing.T) {
	t.Parallel()
	path := keyFile(t, keyA+"\n", 0o600)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 5 {
				for {
					ring, err := keyring.Parse(content(t, path))
					if err != nil {
						t.Errorf("the file is damaged: %v", err)
						return
					}
					fresh, err := keyring.Generate()
					if err != nil {
						t.Error(err)
						return
					}
					err = keyring.AddToFile(path, secrets.NewValue(fresh), ring)
					if err == nil {
						break
					}
					if !errors.Is(err, secrets.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	if names := parse(t, content(t, path)).Names(); len(names) != 21 {
		t.Errorf("%d keys, want 21", len(names))
	}
}
