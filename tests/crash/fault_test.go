package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// few are readers of a host whose database fails. Each one tries again after a
// short while.
const few = 4

// fault is a way in which a database fails.
type fault struct {
	name   string
	begin  func(t *testing.T, w *world) (end func())
	status int    // of a write during the fault
	log    string // what the operator reads
	told   string // what a plugin is told
	tries  int    // that fail until that is believed
	partly bool   // some things can be recorded
}

// unready is what /-/readyz says of such a database.
var unready = regexp.MustCompile(`"database": "(cannot be written|does not answer)"`)

// A database that cannot be written lets no value out, for what cannot be
// recorded does not happen. Whoever asks is told within a bounded time, the log
// says why, and when the reason is gone the host goes on by itself.
func TestDatabaseThatFails(t *testing.T) {
	t.Parallel()
	faults := []fault{
		{"disk full", disk("ENOSPC"), 503, "the disk is full", "temporarily unavailable", 4 * few, false},
		{"file system became read-only", disk("EROFS"), 503, "read-only", "temporarily unavailable", 4 * few, false},
		{"disk broken", disk("EIO"), 503, "reading or writing the database file failed", "temporarily unavailable", 4 * few, false},
		{"disk does not sync", disk("SYNC"), 503, "reading or writing the database file failed", "temporarily unavailable", 4 * few, false},
		{"locked by another process", locked("immediate"), 503, "another process keeps the database locked", "temporarily unavailable", rounds(0, 4*few), false}, // each takes seconds
		{"log dropped", dropped("datasette_secrets_log"), 500, "no such table", "internal error", 4 * few, false},
		{"hashes of the log dropped", dropped("datasette_secrets_log_hashes"), 500, "no such table", "internal error", 4 * few, true}, // until hashes are due
	}
	if harness.Soak() { // it takes a minute
		faults = append(faults, fault{"file of Datasette, locked", locked("exclusive"), 503, "another process keeps the database locked", "temporarily unavailable", 4 * few, false})
	}
	if mount(t, t.TempDir()) == nil { // few may do that
		faults = append(faults, fault{"small disk full", smallDisk, 503, "the disk is full", "temporarily unavailable", 4 * few, true})
	}
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.disk = harness.NewDisk(t, w.file)
			switch c.name {
			case "file of Datasette, locked":
				ofDatasette(t)(w)
			case "small disk full":
				if err := mount(t, filepath.Dir(w.file)); err != nil {
					t.Fatal(err)
				}
			}
			w.live(t, few, 0)
			defer close(w.stop)
			for _, name := range names() {
				w.store(t, name, "first")
			}
			w.await(t, "answers", func(good, _ int) bool { return good >= few })

			w.mark = w.size(t)
			end := c.begin(t, w)
			var page sync.WaitGroup
			page.Go(func() { w.refuse(t, c) })
			w.await(t, "failures", func(_, bad int) bool { return bad > c.tries })
			page.Wait()
			if leaks := w.leaks(t); len(leaks) > 0 && !c.partly {
				t.Errorf("values left while nothing could be recorded: %q", leaks)
			}
			if r := w.host.Get(t, "/-/readyz", nil); r.StatusCode != 503 && !c.partly || r.StatusCode == 503 && !unready.MatchString(r.Text) || strings.Contains(r.Text, w.file) {
				t.Errorf("readiness: status %d\n%s", r.StatusCode, r.Text)
			}
			if r := w.host.Get(t, "/-/healthz", nil); r.StatusCode != 200 {
				t.Errorf("health: status %d", r.StatusCode)
			}
			w.host.Logs(t, c.log)
			end()

			w.mark = w.size(t)
			w.await(t, "answers again", func(good, _ int) bool { return good >= 2*few })
			w.store(t, "ONE", "second")
			w.becomesReady(t)
			notes, err := os.ReadFile(w.notes)
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

// becomesReady waits until the host says so. It looks at the database once a
// second, and a look that met a lock may last some seconds.
func (w *world) becomesReady(t *testing.T) {
	t.Helper()
	var r harness.Response
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if r = w.host.Get(t, "/-/readyz", nil); r.StatusCode == http.StatusOK {
			return
		}
	}
	t.Errorf("readiness afterwards: status %d\n%s", r.StatusCode, r.Text)
}

// disk is a fault of the disk.
func disk(word string) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		w.disk.Fail(t, word)
		return func() { w.disk.Fail(t, "") }
	}
}

// mount makes a folder a disk of its own.
func mount(t *testing.T, folder string) error {
	t.Helper()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return nil
}

// smallDisk is a disk that other files fill up.
func smallDisk(t *testing.T, w *world) func() {
	path := filepath.Join(filepath.Dir(w.file), "other")
	other, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = other.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(other.Close(), os.Remove(path)); err != nil {
			t.Error(err)
		}
	}
}

// locked is another process in the middle of a transaction, for as long as a
// statement waits for it and some more.
func locked(kind string) func(*testing.T, *world) func() {
	return func(t *testing.T, w *world) func() {
		raw := w.open(t)
		conn, err := raw.Conn(t.Context())
		if err == nil {
			_, err = conn.ExecContext(t.Context(), "begin "+kind)
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
func (w *world) refuse(t *testing.T, c fault) {
	began := time.Now()
	r := w.host.SetSecret(t, "ONE", "never", "", secrets.NewActor("root"))
	if r.StatusCode == http.StatusFound && c.partly {
		w.stored = append(w.stored, stored{"ONE", "never"})
		return
	}
	if r.StatusCode != c.status || strings.Contains(r.Text, "SQL") || strings.Contains(r.Text, "table") {
		t.Errorf("storing a value: status %d\n%s", r.StatusCode, r.Text)
	}
	if took := time.Since(began); took > 40*time.Second { // twice what it may take
		t.Errorf("storing a value took %v", took)
	}
}

// size is how much the plugin has noted.
func (w *world) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(w.notes)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// count counts the answers and failures that the plugin noted since the mark.
func (w *world) count(t *testing.T) (good, bad int) {
	t.Helper()
	data, err := os.ReadFile(w.notes)
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

// leaks are the values that a goroutine of the plugin was given since the mark
// after it had been refused one.
func (w *world) leaks(t *testing.T) (leaks []string) {
	t.Helper()
	data, err := os.ReadFile(w.notes)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{} // goroutines
	for line := range strings.Lines(string(data[w.mark:])) {
		actor, _, _ := strings.Cut(strings.TrimPrefix(line, "- "), " ")
		goroutine := actor[:strings.LastIndexByte(actor, '-')]
		if strings.HasPrefix(line, "- ") {
			refused[goroutine] = true
		} else if refused[goroutine] {
			leaks = append(leaks, line)
		}
	}
	return leaks
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
