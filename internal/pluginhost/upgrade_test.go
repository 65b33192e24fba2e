package pluginhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// watchful are timings of a host that looks at the files all the time.
func watchful() pluginhost.Timings {
	timings := quick()
	timings.Look, timings.Handshake = 10*time.Millisecond, 5*time.Second
	return timings
}

// behaving is a plugin that behaves as the mode says, and differs from others
// by its number.
func behaving(mode string, number int) string {
	return fmt.Sprintf("#!%s %s\nnumber %d\n", os.Getenv(programVariable), mode, number)
}

// replace puts another file in the place of a plugin, in one step.
func replace(t *testing.T, path, content string) {
	t.Helper()
	fresh := filepath.Join(filepath.Dir(path), "fresh")
	must(t, os.WriteFile(fresh, []byte(content), 0o755))
	must(t, os.Rename(fresh, path))
}

// underLoad calls a plugin all the time until the end of the test, and fails it
// if any call does. It returns how many calls were answered so far.
func (w *world) underLoad(t *testing.T, name string) *atomic.Int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var answered atomic.Int64
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				if _, err := w.Call(context.Background(), name, []string{"pause", "quick"}[n%2]); err != nil {
					t.Errorf("call %d: %v", n, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return &answered
}

// becomesAnother waits until the plugin runs another file than before.
func (w *world) becomesAnother(name, before string) {
	w.t.Helper()
	eventually(w.t, func() error {
		if status := w.status(name); status.Hash == before || status.State != secrets.PluginReady {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
}

// While a plugin's file is replaced again and again, no call fails in either
// direction.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	path := pluginFile(dir, "healthy")
	replace(t, path, behaving("healthy", 0))
	w := startIn(t, watchful(), dir)
	w.says("HEALTHY_KEY got it from database")
	answered := w.underLoad(t, "healthy")
	for number := range 5 {
		before := w.status("healthy")
		replace(t, path, behaving("healthy", number+1))
		w.becomesAnother("healthy", before.Hash)
		so := answered.Load()
		eventually(t, func() error {
			if answered.Load() < so+10 {
				return fmt.Errorf("no calls are answered")
			}
			return nil
		})
		if status := w.status("healthy"); status.Restarts != 0 || status.LastError != "" ||
			!slices.Equal(status.Secrets, []string{"HEALTHY_KEY"}) || !strings.HasPrefix(status.Hash, "sha256:") || len(status.Hash) != 71 {
			t.Errorf("it is %+v", status)
		}
	}
	w.isRunning(1)
	w.isUnharmed()
	for line := range strings.Lines(w.log.text()) {
		if strings.Contains(line, `msg="HEALTHY_KEY`) && !strings.Contains(line, "got it from database") {
			t.Errorf("a call of the plugin failed: %s", line)
		}
	}
}

// A new file that does not work changes nothing, in whatever way it fails.
func TestBrokenUpgrade(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, content, reason string }{
		{"no program", "of no use", "it could not be executed: exec format error"},
		{"ends", "#!/bin/sh\nexit 3\n", "it ended before the handshake (exit status 3)"},
		{"silent", behaving("silent", 1), "it did not answer the handshake within 5s"},
		{"bad name", behaving("badname", 1), "the name of declared secret 1 must be"},
		{"panics", behaving("exits", 1), "(exit status 3)"},
		{"unwilling", behaving("unwilling", 1), "Start failed (Unknown)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := pluginsDir(t)
			path := pluginFile(dir, "healthy")
			replace(t, path, behaving("healthy", 0))
			w := startIn(t, watchful(), dir)
			pid, before := w.pidOf("healthy"), w.status("healthy")
			w.underLoad(t, "healthy")
			replace(t, path, test.content)
			eventually(t, func() error {
				status := w.status("healthy")
				if !strings.HasPrefix(status.LastError, "the new file does not work, and the former goes on: ") ||
					!strings.Contains(status.LastError, test.reason) {
					return fmt.Errorf("it is %+v", status)
				}
				return nil
			})
			if status := w.status("healthy"); status.State != secrets.PluginReady || status.Hash != before.Hash || status.Restarts != 0 {
				t.Errorf("it is %+v", status)
			}
			w.isUsed("healthy")
			secret, _, err := w.vault.Show(t.Context(), rootCaller(), "HEALTHY_KEY")
			if err != nil || !slices.Equal(secret.DeclaredBy, []string{"healthy"}) {
				t.Errorf("the vault says %+v, %v", secret, err)
			}

			replace(t, path, behaving("healthy", 2))
			w.becomesAnother("healthy", before.Hash)
			w.isRunning(1)
			if status := w.status("healthy"); w.pidOf("healthy") == pid || status.LastError != "" {
				t.Errorf("it is %+v, as process %d", status, pid)
			}
		})
	}
}

// A broken file is tried again, but not for ever.
func TestBrokenUpgradeIsGivenUp(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
	timings := watchful()
	timings.Backoff, timings.MaxBackoff = time.Millisecond, time.Millisecond
	w := startIn(t, timings, dir)
	replace(t, pluginFile(dir, "healthy"), "#!/bin/sh\nexit 3\n")
	tries := func() int { return strings.Count(w.log.text(), "new file does not work; the former goes on") }
	eventually(t, func() error {
		if tries() < 5 {
			return fmt.Errorf("it was tried %d times", tries())
		}
		return nil
	})
	w.isUsed("healthy")
	w.isUsed("healthy")
	if tries() > 5 {
		t.Errorf("it was tried %d times", tries())
	}
	// When the former ends nevertheless, what is in the folder counts.
	must(t, w.Restart("healthy"))
	w.becomes("healthy", secrets.PluginFailed)
}

// The same content in another file is no reason to stop anything.
func TestReplacedByItsLike(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
	w := startIn(t, watchful(), dir)
	pid := w.pidOf("healthy")
	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
	w.says("the plugin's new file holds what the former did")
	must(t, os.Remove(pluginFile(dir, "healthy")))
	w.isUsed("healthy")
	if now := w.pidOf("healthy"); now != pid || w.status("healthy").State != secrets.PluginReady {
		t.Errorf("process %d became %d: %+v", pid, now, w.status("healthy"))
	}
}

// An upgrade under way is given up when the plugin is turned off, or the host
// closes, or what runs crashes.
func TestUpgradeIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(w *world, pid int){
		"disable": func(w *world, _ int) { _ = w.Disable("healthy"); w.isRunning(0) },
		"close":   func(w *world, _ int) { w.close() },
		"crash": func(w *world, pid int) {
			process, err := os.FindProcess(pid)
			if err == nil {
				err = process.Kill()
			}
			if err != nil {
				w.t.Error(err)
			}
			w.failsWith("healthy", "it ended by itself (signal: killed)")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := pluginsDir(t)
			replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
			timings := watchful()
			timings.Handshake = time.Hour
			w := startIn(t, timings, dir)
			pid := w.pidOf("healthy")
			replace(t, pluginFile(dir, "healthy"), behaving("silent", 1))
			w.isRunning(2)
			interrupt(w, pid)
		})
	}
}

// isUsed waits until the healthy plugin used its secret once more.
func (w *world) isUsed(name string) {
	w.t.Helper()
	uses := func() int { return strings.Count(w.log.text(), "HEALTHY_KEY got it from database") }
	before := uses()
	eventually(w.t, func() error {
		if uses() < before+2 {
			return fmt.Errorf("%s gets no secret any more", name)
		}
		return nil
	})
}

// The hash of a script that may read its folder is that of all its files, as
// they are at its start. Other plugins there do not count.
func TestHashOfSeveralFiles(t *testing.T) {
	t.Parallel()
	needSandbox(t)
	dir := pluginsDir(t, "snoop")
	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
	library := filepath.Join(dir, "library")
	must(t, os.WriteFile(library, []byte("1"), 0o644))
	w := startWith(t, pluginhost.Config{
		Dir: dir, Timings: quick(),
		Grants: map[string]pluginhost.Grant{"healthy": {Read: []string{dir}}},
	})
	restarted := func() string {
		must(t, w.Restart("healthy"))
		w.isReady("healthy")
		return w.status("healthy").Hash
	}
	first := w.status("healthy").Hash
	must(t, os.Remove(pluginFile(dir, "snoop")))
	if again := restarted(); again != first {
		t.Errorf("the hash became %s without a change", again)
	}
	must(t, os.WriteFile(library, []byte("2"), 0o644))
	if again := restarted(); again == first {
		t.Error("a change of a library does not change the hash")
	}
	must(t, os.Chmod(library, 0o666))
	must(t, w.Restart("healthy"))
	w.failsWith("healthy", "library can be written by other users")
}
