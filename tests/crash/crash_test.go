// Package crash ends hosts in the worst of ways, and looks whether anything was
// lost that somebody was told.
package crash

import (
	"database/sql"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// livesOfOne is how many hosts work on one database, one after the other. Each
// look at it takes longer than the one before.
const livesOfOne = 20

// rounds is how often a campaign ends a host.
func rounds(brief, whole int) int {
	if harness.Soak() {
		return whole
	}
	return brief
}

// campaign ends hosts, so many times. after is what happens to the files in
// between; it may be nil.
func campaign(t *testing.T, times int, begin func(*world), after func(*world)) {
	t.Helper()
	var reads, writes int
	for left := times; left > 0 && !t.Failed(); left -= livesOfOne {
		w := newWorld(t, uint64(left))
		begin(w)
		for i := range min(left, livesOfOne) {
			if i%4 == 3 {
				w.dieYoung(t)
			} else {
				w.live(t, readers, writers)
				w.die(t)
			}
			after(w)
			if w.check(t); t.Failed() {
				t.Logf("life %d of a database, %d of the campaign", i+1, times-left+i+1)
				break
			}
		}
		reads, writes = reads+w.reads, writes+w.writes
	}
	t.Logf("%d answered reads and %d acknowledged writes", reads, writes)
}

// Hosts are killed at random moments under 64 concurrent readers and writers.
// Every read that was answered is in the log, every write that was acknowledged
// is in the table, and the log is whole.
func TestKilledHostsLoseNothing(t *testing.T) {
	t.Parallel()
	nothing := func(*world) {}
	campaign(t, rounds(4, 300), nothing, nothing)
}

// The same, and what was not synced is lost with the host: all of it, or here
// and there a part. The file is one of this host, or one of Datasette, which
// has another journal.
func TestPowerCutsLoseNothing(t *testing.T) {
	t.Parallel()
	for journal, statements := range map[string]string{
		"wal":    "",
		"delete": "pragma journal_mode = delete; create table other (id integer primary key)",
	} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			var disk *harness.Disk
			begin := func(w *world) {
				if statements != "" {
					execute(t, w.file, statements)
				}
				disk = harness.NewDisk(t, w.file).Forgetful()
				w.env = disk.Env
			}
			campaign(t, rounds(3, 150), begin, func(w *world) {
				some := w.chance.IntN(2) == 0
				disk.PowerCut(t, func() bool { return some && w.chance.IntN(2) == 0 })
			})
		})
	}
}

// execute runs statements on a file that nobody has open.
func execute(t *testing.T, file, statements string) {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(statements); err != nil {
		t.Fatal(err)
	}
}
