package crash

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// few are readers of a host whose database fails. Each one tries again after a
// short while.
const few = 4

// A database that cannot be written lets no value out, for what cannot be
// recorded does not happen. Whoever asks is told within a bounded time, the log
// says why, and when the reason is gone the host goes on by itself.
func TestDatabaseThatFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		begin  func(t *testing.T, w *world) (end func())
		status int    // of a write during the fault
		log    string // what the operator reads
		told   string // what a plugin is told
		tries  int    // that fail until that is believed
	}{
		{"disk full", disk("ENOSPC"), 503, "the disk is full", "temporarily unavailable", 2 * few},
		{"file system became read-only", disk("EROFS"), 503, "read-only", "temporarily unavailable", 2 * few},
		{"disk broken", disk("EIO"), 503, "reading or writing the database file failed", "temporarily unavailable", 2 * few},
		{"disk does not sync", disk("SYNC"), 503, "reading or writing the database file failed", "temporarily unavailable", 2 * few},
		{"locked by another process", locked, 503, "another process keeps the database locked", "temporarily unavailable", rounds(0, 2*few)}, // each takes seconds
		{"log dropped", dropped("datasette_secrets_log"), 500, "no such table", "internal error", 2 * few},
		{"hashes of the log dropped", dropped("datasette_secrets_log_hashes"), 500, "no such table", "internal error", 2 * few},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.disk = harness.NewDisk(t, w.file)
			w.live(t, few, 0)
			defer close(w.stop)
			for _, name := range names() {
				w.store(t, name, "first")
			}
			w.await(t, "answers", func(good, _ int) bool { return good >= few })

			end := c.begin(t, w)
			var page sync.WaitGroup
			page.Go(func() { w.refuse(t, c.status) })
			w.await(t, "failures", func(_, bad int) bool { return bad > c.tries })
			// Whoever was answered before has noted it by now.
			w.mark = w.size(t)
			w.await(t, "failures", func(_, bad int) bool { return bad >= c.tries })
			if good, _ := w.count(t); good > 0 {
				t.Errorf("%d values left while nothing could be recorded", good)
			}
			page.Wait()
			if r := w.host.Get(t, "/-/readyz", nil); r.StatusCode != 503 || !strings.Contains(r.Text, `"cannot be written"`) || strings.Contains(r.Text, w.file) {
				t.Errorf("readiness: status %d\n%s", r.StatusCode, r.Text)
			}
			if r := w.host.Get(t, "/-/healthz", nil); r.StatusCode != 200 {
				t.Errorf("health: status %d", r.StatusCode)
			}
			if log := w.host.Stderr.String(); !strings.Contains(log, c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, log)
			}
			end()

			w.mark = w.size(t)
			w.await(t, "answers again", func(good, _ int) bool { return good >= 2*few })
			w.store(t, "ONE", "second")
			if r := w.host.Get(t, "/-/readyz", nil); r.StatusCode != http.StatusOK {
				t.Errorf("readiness afterwards: status %d\n%s", r.StatusCode, r.Text)
			}
			notes, err := os.ReadFile(w.notes())
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(notes)) {
				if strings.HasPrefix(line, "- ") && !strings.Contains(line, c.told) {
					t.Errorf("the plugin was told %q", line)
				}
			}
			w.host.Stop(t)
			w.check(t)
		})
	}
}

// disk is a fault of the disk.
func disk(word string) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		w.disk.Fail(t, word)
		return func() { w.disk.Fail(t, "") }
	}
}

// locked is another process in the middle of a transaction, for as long as a
// statement waits for it and some more.
func locked(t *testing.T, w *world) func() {
	raw := w.open(t)
	conn, err := raw.Conn(t.Context())
	if err == nil {
		_, err = conn.ExecContext(t.Context(), "begin immediate")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.Background(), "rollback"); err != nil {
			t.Error(err)
		}
	}
}

// dropped is a table that is gone until somebody puts it back.
func dropped(table string) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		raw := w.open(t)
		rename := func(from, to string) {
			if _, err := raw.Exec(fmt.Sprintf("alter table %s rename to %s", from, to)); err != nil {
				t.Fatal(err)
			}
		}
		rename(table, "aside")
		return func() { rename("aside", table) }
	}
}

// open opens the file beside the host.
func (w *world) open(t *testing.T) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+w.file+"?_busy_timeout=20000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return raw
}

// store stores a value, which must succeed.
func (w *world) store(t *testing.T, name, value string) {
	t.Helper()
	if r := w.host.SetSecret(t, name, value, "", secrets.NewActor("root")); r.StatusCode != http.StatusFound {
		t.Fatalf("storing %s: status %d\n%s", name, r.StatusCode, w.host.Stderr)
	}
	w.stored = append(w.stored, stored{name, value})
}

// refuse stores a value, which must fail within a bounded time.
func (w *world) refuse(t *testing.T, status int) {
	began := time.Now()
	r := w.host.SetSecret(t, "ONE", "never", "", secrets.NewActor("root"))
	if r.StatusCode != status || strings.Contains(r.Text, "SQL") || strings.Contains(r.Text, "table") {
		t.Errorf("storing a value: status %d\n%s", r.StatusCode, r.Text)
	}
	if took := time.Since(began); took > 40*time.Second { // twice what it may take
		t.Errorf("storing a value took %v", took)
	}
}

// size is how much the plugin has noted.
func (w *world) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(w.notes())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// count counts the answers and failures that the plugin noted since the mark.
func (w *world) count(t *testing.T) (good, bad int) {
	t.Helper()
	data, err := os.ReadFile(w.notes())
	if os.IsNotExist(err) {
		return 0, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data[w.mark:])) {
		if strings.HasPrefix(line, "- ") {
			bad++
		} else {
			good++
		}
	}
	return good, bad
}

// await waits until so many answers and failures were noted since the mark.
func (w *world) await(t *testing.T, what string, enough func(good, bad int) bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !enough(w.count(t)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the plugin notes no %s:\n%s", what, w.host.Stderr)
		}
	}
}
