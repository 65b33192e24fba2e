package sandbox_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// several is how a script of several files is taken.
func several() sandbox.Script { return sandbox.Script{Folder: true, Others: "plugin-"} }

// newTree makes a folder with a script that is one of several files.
func newTree(t *testing.T) (folder, script string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "tree")
	for name, text := range map[string]string{
		"plugin-a": "#!/bin/sh\nexit 0\n", "plugin-b": "#!/bin/sh\nexit 0\n",
		"lib/one.py": "1", "lib/two.py": "2",
	} {
		write(t, filepath.Join(folder, name), text)
	}
	if err := os.Symlink("one.py", filepath.Join(folder, "lib", "link")); err != nil {
		t.Fatal(err)
	}
	return folder, filepath.Join(folder, "plugin-a")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// The hash of a script of several files is that of all of them, wherever they
// are, and a change of any of them is noticed.
func TestTree(t *testing.T) {
	t.Parallel()
	at := func(folder, name string) string { return filepath.Join(folder, name) }
	tests := []struct {
		name   string
		change func(folder string) error
		same   bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"another program", func(f string) error { return os.WriteFile(at(f, "plugin-b"), []byte("#!/bin/sh\nexit 1\n"), 0o755) }, true},
		{"one more program", func(f string) error { return os.WriteFile(at(f, "plugin-c"), nil, 0o644) }, true},
		{"a folder of another program", func(f string) error { return os.MkdirAll(at(f, "plugin-c/d"), 0o755) }, true},
		{"the script", func(f string) error { return os.WriteFile(at(f, "plugin-a"), []byte("#!/bin/sh\nexit 1\n"), 0o755) }, false},
		{"a library", func(f string) error { return os.WriteFile(at(f, "lib/two.py"), []byte("3"), 0o644) }, false},
		{"one file more", func(f string) error { return os.WriteFile(at(f, "lib/three.py"), nil, 0o644) }, false},
		{"one file less", func(f string) error { return os.Remove(at(f, "lib/two.py")) }, false},
		{"a folder", func(f string) error { return os.Mkdir(at(f, "lib/empty"), 0o755) }, false},
		{"a mode", func(f string) error { return os.Chmod(at(f, "lib/two.py"), 0o700) }, false},
		{"a name", func(f string) error { return os.Rename(at(f, "lib/two.py"), at(f, "lib/too.py")) }, false},
		{"where a link leads", func(f string) error {
			return errors.Join(os.Remove(at(f, "lib/link")), os.Symlink("two.py", at(f, "lib/link")))
		}, false},
		{"a link to its target", func(f string) error {
			return errors.Join(os.Remove(at(f, "lib/link")), os.WriteFile(at(f, "lib/link"), []byte("one.py"), 0o755))
		}, false},
	}
	_, original := newTree(t)
	before, err := sandbox.Seal(original, t.TempDir(), several())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder, script := newTree(t)
			p, err := sandbox.Seal(script, t.TempDir(), several())
			if err != nil || p.Runnable() != script || p.Hash != before.Hash || !p.Fresh(script) {
				t.Fatalf("%+v, %v; want %s", p, err, before.Hash)
			}
			if err := test.change(folder); err != nil {
				t.Fatal(err)
			}
			if p.Fresh(script) != test.same {
				t.Errorf("it is fresh: %v", !test.same)
			}
			again, err := sandbox.Seal(script, t.TempDir(), several())
			if err != nil || (again.Hash == p.Hash) != test.same {
				t.Errorf("the hashes are %s and %s, %v", p.Hash, again.Hash, err)
			}
		})
	}
}

// A folder that somebody else can write, or that is too large, is refused.
func TestTreeIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(folder string) error
		want   string
	}{
		{"open file", func(f string) error { return os.Chmod(filepath.Join(f, "lib/one.py"), 0o666) },
			"lib/one.py can be written by other users; run: chmod -R go-w"},
		{"open folder", func(f string) error { return os.Chmod(filepath.Join(f, "lib"), 0o777) },
			"lib can be written by other users"},
		{"open root", func(f string) error { return os.Chmod(f, 0o775) }, ". can be written by other users"},
		{"large", func(f string) error { return os.Truncate(filepath.Join(f, "lib/one.py"), 512<<20) },
			"it holds more than 20000 files or 512 MiB"},
		{"many", func(f string) error {
			var err error
			for i := range 20_000 {
				err = errors.Join(err, os.Symlink("x", filepath.Join(f, "lib", fmt.Sprint(i))))
			}
			return err
		}, "it holds more than 20000 files or 512 MiB"},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, struct {
			name   string
			change func(folder string) error
			want   string
		}{"somebody else's", func(f string) error { return os.Chown(filepath.Join(f, "lib/one.py"), 65534, 65534) },
			"lib/one.py belongs to another user"})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder, script := newTree(t)
			if err := test.change(folder); err != nil {
				t.Fatal(err)
			}
			if _, err := sandbox.Seal(script, t.TempDir(), several()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}

// What is no file is not opened: a pipe would never end, and a link may lead
// anywhere.
func TestTreeOfOddThings(t *testing.T) {
	t.Parallel()
	folder, script := newTree(t)
	socket, err := net.Listen("unix", filepath.Join(folder, "lib", "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for name, target := range map[string]string{"zero": "/dev/zero", "up": "..", "nowhere": "/no/such/file"} {
		if err := os.Symlink(target, filepath.Join(folder, "lib", name)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := sandbox.Seal(script, t.TempDir(), several())
	if err != nil || !p.Fresh(script) {
		t.Errorf("it is %+v, %v", p, err)
	}
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Seal(script, t.TempDir(), several()); err == nil || errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a script that is gone: %v", err)
	}
}
