package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// shared is where test processes keep what one makes and all of them use. It is
// below the repository, so that "make clean" removes it.
func shared(name string) string { return filepath.Join(Root(), "build", "test", "shared", name) }

// lock waits until no other process works on path, and returns what ends that.
// The end of the process ends it as well.
func lock(t testing.TB, path string) (unlock func()) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { file.Close() }
}

// madeOnce returns a folder that make filled out of sources, files and folders
// of the repository, once for all test processes and each state of the sources.
func madeOnce(t testing.TB, name string, sources []string, make func(dir string)) string {
	t.Helper()
	buildMutex.Lock()
	defer buildMutex.Unlock()
	if dir, ok := built[name]; ok {
		return dir
	}
	lookAtSources(t)
	family := shared(name)
	dir := filepath.Join(family, stateOf(t, sources))
	defer lock(t, dir)()
	finished := filepath.Join(dir, ".finished")
	if _, err := os.Stat(finished); err == nil {
		built[name] = dir
		return dir
	}
	forgetOld(family)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	make(dir)
	WriteFile(t, finished, "", 0o644)
	built[name] = dir
	return dir
}

// forgetOld removes the folders of earlier states, but for those of today, which
// a process may still use.
func forgetOld(family string) {
	entries, _ := os.ReadDir(family)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(family, entry.Name()))
		}
	}
}

// stateOf names what is in sources: the files' names, modes and contents.
func stateOf(t testing.TB, sources []string) string {
	t.Helper()
	sum := sha256.New()
	for _, source := range sources {
		if err := addState(sum, filepath.Join(Root(), source)); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func addState(sum io.Writer, source string) error {
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "node_modules" || name == "__pycache__" || name == "build" {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%q %v %x\n", path, info.Mode(), sha256.Sum256(text))
		return err
	})
}
