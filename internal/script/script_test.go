package script_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/script"
)

func TestFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) string {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("venv/pyvenv.cfg", "home = /opt/python/bin\ninclude-system-site-packages = false\n")
	write("systemvenv/pyvenv.cfg", "version = 3.11\nhome=/usr/bin")
	write("node/package.json", "{}")
	write("python/pyproject.toml", "")
	write("python/.venv/pyvenv.cfg", "home = /usr/local/bin\n")
	for _, c := range []struct {
		name, path string
		want       []string
	}{
		{"a script of a virtual environment", write("a", "#!"+dir+"/venv/bin/python\n"), []string{dir + "/venv", "/opt/python"}},
		{"with options", write("b", "#! "+dir+"/venv/bin/python -I\n"), []string{dir + "/venv", "/opt/python"}},
		{"of the system's Python", write("c", "#!"+dir+"/systemvenv/bin/python"), []string{dir + "/systemvenv"}},
		{"a shell script", write("d", "#!/bin/sh\n"), nil},
		{"in a project of Node", write("node/e", "#!/usr/bin/env node\n"), []string{dir + "/node"}},
		{"in its folder of programs", write("node/bin/f", "#!/usr/bin/env node\n"), []string{dir + "/node"}},
		{"too far below", write("node/a/b/f", "#!/usr/bin/env node\n"), nil},
		{"in the environment of a project of Python", write("python/.venv/bin/f", "#!"+dir+"/python/.venv/bin/python\n"), []string{dir + "/python", dir + "/python/.venv"}},
		{"a program", write("node/g", "\x7fELF"), nil},
		{"nothing", filepath.Join(dir, "none"), nil},
		{"a first line without end", write("h", "#!"+strings.Repeat("x", 9999)), nil},
	} {
		if got := script.Folders(c.path); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, folder := range []string{"lib", "node_modules", ".venv"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	last := script.Look(dir)
	if last != script.Look("") || last != script.Look(filepath.Join(dir, "none")) {
		t.Error("an empty folder is not like no folder")
	}
	for _, c := range []struct {
		path, text string
		seen       bool
	}{
		{"plugin.js", "a", true},
		{"plugin.js", "ab", true},
		{"plugin.js", "ba", true}, // of the same length
		{"lib/module.py", "a", true},
		{"node_modules/index.js", "a", false},
		{".venv/module.py", "a", false},
		{".hidden.py", "a", false},
		{"notes.txt", "a", false},
	} {
		path := filepath.Join(dir, c.path)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		// Two changes may have the same time on some file systems.
		stamp := time.Now().Add(time.Duration(len(c.path)+len(c.text)) * time.Hour)
		if c.text == "ba" {
			stamp = stamp.Add(time.Hour)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		now := script.Look(dir)
		if (now != last) != c.seen {
			t.Errorf("%s: seen %v, want %v", c.path, now != last, c.seen)
		}
		last = now
	}
	if err := os.Remove(filepath.Join(dir, "plugin.js")); err != nil {
		t.Fatal(err)
	}
	if script.Look(dir) == last {
		t.Error("a removed file is not seen")
	}
}

// Whatever stands in the configuration of an environment, what comes of it is
// the clean path of a folder, or nothing.
func FuzzHomeIn(f *testing.F) {
	for _, text := range []string{"home = /usr/bin\n", "home=/a/../b", "home = relative", "version = 3\nhome = /x\r\n", "=", "", "home"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		home := script.HomeIn(strings.NewReader(text))
		if home != "" && (!filepath.IsAbs(home) || filepath.Clean(home) != home) {
			t.Errorf("%q: %q", text, home)
		}
	})
}
