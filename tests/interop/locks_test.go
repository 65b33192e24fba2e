package interop_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// Another process's lock is waited for at least as long as Datasette waits,
// and not so long that a browser gives up. On a busy machine, several changes
// that wait in a row take twice what one takes.
const (
	patient = 5 * time.Second
	bounded = 25 * time.Second
)

// files makes a file of each kind: one made by the host has a write-ahead log,
// one made by Python a rollback journal.
func files(t *testing.T) map[string]string {
	t.Helper()
	ofHost, ofPython := newFile(t), newFile(t)
	startHost(t, ofHost).Stop(t)
	startPython(t, ofPython).Stop(t)
	return map[string]string{"wal": ofHost, "delete": ofPython}
}

// A process that writes for two seconds delays a change and a plugin's read,
// and fails neither.
func TestShortLocksAreWaitedFor(t *testing.T) {
	t.Parallel()
	const short = 2 * time.Second
	for mode, file := range files(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			host, probe := startProbed(t, file)
			set(t, host, "ALPHA", "before", "")
			release := hold(t, file, "immediate")
			began := time.Now()
			time.AfterFunc(short, release)
			v := newVisitor(t, host, "root")
			stored := make(chan struct{})
			go func() {
				defer close(stored)
				v.set("BETA", "during")
			}()
			if got, err := probe.Get(t, "ALPHA", "reader"); got != "before" || err != nil {
				t.Errorf("the plugin reads %q, %v", got, err)
			}
			<-stored
			if took := time.Since(began); took < short {
				t.Errorf("the lock was held for %v, but all was done after %v", short, took)
			}
			if got, err := probe.Get(t, "BETA", "reader"); got != "during" || err != nil {
				t.Errorf("the plugin reads %q, %v", got, err)
			}
		})
	}
}

// A process that keeps the file for longer makes changes and reads fail with
// an error that says so, within bounds, and with nothing half-written. When it
// ends, everything works again without a restart.
func TestLongLocksAreClearErrors(t *testing.T) {
	t.Parallel()
	for mode, file := range files(t) {
		for _, how := range []string{"immediate", "exclusive"} {
			t.Run(mode+" "+how, func(t *testing.T) {
				file := copyOf(t, file)
				t.Parallel()
				host, probe := startProbed(t, file)
				set(t, host, "ALPHA", "before", "note")
				release := hold(t, file, how)
				duringLongLock(t, host, probe, mode == "delete" && how == "exclusive")
				release()
				rows := query(t, file, "select name, version, note, last_used_at from datasette_secrets")
				if len(rows) != 1 || rows[0]["name"] != "ALPHA" || rows[0]["note"] != "note" || rows[0]["last_used_at"] != nil {
					t.Errorf("after the lock, the rows are %v", rows)
				}
				set(t, host, "BETA", "after", "")
				if got, err := probe.Get(t, "ALPHA", "reader"); got != "before" || err != nil {
					t.Errorf("after the lock, the plugin reads %q, %v", got, err)
				}
			})
		}
	}
}

// duringLongLock tries everything at once. unreadable tells that even reading
// the file is impossible.
func duringLongLock(t *testing.T, host *harness.Process, probe *harness.Probe, unreadable bool) {
	t.Helper()
	v := newVisitor(t, host, "root")
	posts := map[string]url.Values{
		"/-/secrets/ALPHA":          {"secret": {"during"}, "note": {"lost"}},
		"/-/secrets/BETA":           {"secret": {"during"}},
		"/-/secrets/ALPHA?note":     {"note": {"lost"}},
		"/-/secrets/ALPHA/-/delete": {},
	}
	done := make(chan struct{}, len(posts))
	for path, form := range posts {
		go func() {
			defer func() { done <- struct{}{} }()
			v.refused(path, form)
		}()
	}
	began := time.Now()
	if got, err := probe.Get(t, "ALPHA", "reader"); !errors.Is(err, pluginapi.ErrUnavailable) {
		t.Errorf("the plugin reads %q, %v, want ErrUnavailable", got, err)
	}
	expectWait(t, "the plugin", time.Since(began))
	for range posts {
		<-done
	}
	if unreadable {
		v.refused("/-/secrets", nil)
		return
	}
	began = time.Now()
	if status, _ := v.visit("/-/secrets", nil); status != http.StatusOK || time.Since(began) > patient {
		t.Errorf("the list, which needs no lock: status %d after %v", status, time.Since(began))
	}
}

// refused expects a page that says that the database is busy.
func (v *visitor) refused(path string, form url.Values) {
	began := time.Now()
	status, text := v.visit(path, form)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "The database is busy") {
		v.t.Errorf("%s: status %d, want 503 and a page that says that the database is busy", path, status)
	}
	expectWait(v.t, path, time.Since(began))
}

func expectWait(t *testing.T, what string, took time.Duration) {
	if took < patient || took > bounded {
		t.Errorf("%s: gave up after %v, want between %v and %v", what, took, patient, bounded)
	}
}

// copyOf copies a file that no program has open.
func copyOf(t *testing.T, file string) string {
	t.Helper()
	other := newFile(t)
	execute(t, file, "vacuum into '"+other+"'")
	execute(t, other, "pragma journal_mode = "+journalMode(t, file))
	return other
}

// While the host writes without a pause, Python's get_secret, which writes too,
// never fails.
func TestPythonReadsWhileHostWrites(t *testing.T) {
	t.Parallel()
	for mode, file := range files(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			host := startHost(t, file, undeclared()...)
			python := startPython(t, file)
			set(t, host, "ALPHA", "value", "")
			var done atomic.Bool
			ended := make(chan int)
			for range 2 {
				go func() {
					v := newVisitor(t, host, "root")
					writes := 0
					for ; !done.Load(); writes++ {
						v.set("ALPHA", "value")
					}
					ended <- writes
				}()
			}
			for range 100 {
				if got := readPython(t, python, "ALPHA", "reader"); got != "value" {
					t.Errorf("Python reads %v", got)
				}
			}
			done.Store(true)
			if writes := <-ended + <-ended; writes < 50 {
				t.Errorf("the host wrote only %d times", writes)
			}
		})
	}
}

// Another process may switch the file to a write-ahead log while both programs
// have it open.
func TestJournalModeChangesMeanwhile(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	python := startPython(t, file)
	host, probe := startProbed(t, file)
	set(t, host, "ALPHA", "before", "")
	set(t, python, "BETA", "before", "")
	if mode := journalMode(t, file); mode != "delete" {
		t.Fatalf("the journal mode is %s", mode)
	}
	execute(t, file, "pragma journal_mode = wal")
	expect(t, python, probe, "ALPHA", "before", "before")
	set(t, host, "ALPHA", "after", "")
	set(t, python, "BETA", "after", "")
	expect(t, python, probe, "ALPHA", "after", "after")
	expect(t, python, probe, "BETA", "after", "after")
	if mode := journalMode(t, file); mode != "wal" {
		t.Errorf("the journal mode is %s", mode)
	}
}
