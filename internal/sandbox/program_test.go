package sandbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// binary is a copy of some program.
func binary(t *testing.T) (path, hash string) {
	t.Helper()
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return path, hex.EncodeToString(sum[:])
}

// A copy in memory cannot be changed, and stays what it was when the file is.
func TestSealedInMemory(t *testing.T) {
	t.Parallel()
	path, hash := binary(t)
	p, err := sandbox.Seal(path, t.TempDir(), sandbox.Script{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Hash != hash {
		t.Errorf("the hash is %s, want %s", p.Hash, hash)
	}
	if !p.Fresh(path) {
		t.Error("an unchanged file is not fresh")
	}
	f, err := os.OpenFile(p.Runnable(), os.O_RDWR, 0)
	if err == nil {
		if _, err = f.WriteAt([]byte("x"), 0); err == nil || f.Truncate(1) == nil {
			t.Error("the copy can be changed")
		}
		if _, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			t.Error("the copy can be mapped to be changed")
		}
		f.Close()
	}
	if err := os.WriteFile(path, []byte("other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if p.Fresh(path) {
		t.Error("a changed file is fresh")
	}
	os.Remove(path)
	if p.Fresh(path) {
		t.Error("a file that is gone is fresh")
	}
}

// A script, and everything on a system that does not execute memory, is kept
// under its hash, and not run once the copy is not what it was.
func TestSealedOnDisk(t *testing.T) {
	t.Parallel()
	path, hash := binary(t)
	text := "#!/bin/sh\nexit 0\n"
	sum := sha256.Sum256([]byte(text))
	for _, test := range []struct {
		path, hash string
		seal       func(string, string) (*sandbox.Program, error)
	}{
		{path, hash, sandbox.SealOnDisk},
		{script(t, text), hex.EncodeToString(sum[:]), func(path, store string) (*sandbox.Program, error) {
			return sandbox.Seal(path, store, sandbox.Script{})
		}},
	} {
		store := filepath.Join(t.TempDir(), "store")
		p, err := test.seal(test.path, store)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(store, "sha256-"+test.hash, filepath.Base(test.path))
		if p.Hash != test.hash || p.Runnable() != copied || !p.Fresh(test.path) {
			t.Errorf("it is %+v", p)
		}
		if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o500 {
			t.Errorf("the copy is %v, %v", info, err)
		}
		if entries, err := os.ReadDir(store); err != nil || len(entries) != 1 {
			t.Errorf("in the store: %v, %v", entries, err)
		}
		again, err := test.seal(test.path, store)
		if err != nil || again.Runnable() != copied {
			t.Errorf("the second time: %+v, %v", again, err)
		}
		if err := os.Chmod(copied, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if p.Fresh(test.path) {
			t.Error("a copy that was changed is fresh")
		}
	}
}

func TestNotSealed(t *testing.T) {
	t.Parallel()
	path, _ := binary(t)
	link, pipe := path+".link", path+".pipe"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link:               "reading its file: too many levels of symbolic links",
		pipe:               "its file is not a regular file",
		filepath.Dir(path): "its file is not a regular file",
		path + ".none":     "reading its file: no such file or directory",
	} {
		if _, err := sandbox.Seal(path, t.TempDir(), sandbox.Script{}); err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

func TestAlsoExecuted(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		"":                              nil,
		"#!":                            nil,
		"#!/bin/sh":                     {"/bin/sh"},
		"#! /bin/sh -e\n":               {"/bin/sh"},
		"#!/usr/bin/env sh\n":           {"/usr/bin/env", "/usr/bin/sh"},
		"#!/usr/bin/env -S A=1 sh -e\n": {"/usr/bin/env", "/usr/bin/sh"},
		"#!/no/such\n":                  nil,
		// A file that is no program is not made readable by naming it.
		"#!" + secret + "\n":              nil,
		"#!/usr/bin/env " + secret + "\n": {"/usr/bin/env"},
	} {
		got := sandbox.AlsoExecuted([]byte(text))
		got = slices.DeleteFunc(got, func(path string) bool { return strings.Contains(path, "ld-") })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if got := sandbox.AlsoExecuted(data); len(got) == 0 || !strings.Contains(got[0], "ld") {
		t.Errorf("the loader of a program: %q", got)
	}
}

func FuzzAlsoExecuted(f *testing.F) {
	for _, text := range []string{"", "#!", "#!/bin/sh -e\n", "#!/usr/bin/env -S A=1 sh\n", "\x7fELF", "#!\x00"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range sandbox.AlsoExecuted(data) {
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
				t.Errorf("%q is no program", path)
			}
		}
	})
}

// A script that belongs to several files runs where it is, and not once it is
// another.
func TestScriptInPlace(t *testing.T) {
	t.Parallel()
	path := script(t, "#!/bin/sh\nexit 0\n")
	p, err := sandbox.Seal(path, t.TempDir(), sandbox.Script{InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.Runnable() != path || !p.Fresh(path) {
		t.Errorf("it is %+v", p)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if p.Fresh(path) {
		t.Error("another script counts as the same")
	}
	compiled, _ := binary(t)
	if p, err := sandbox.Seal(compiled, t.TempDir(), sandbox.Script{InPlace: true}); err != nil || p.Runnable() == compiled {
		t.Errorf("a binary runs in place: %v, %v", p, err)
	}
}
