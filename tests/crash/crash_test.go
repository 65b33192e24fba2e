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

// campaign ends hosts, so many times. begin prepares each new world, and after
// is what happens to the files between one life and the next.
func campaign(t *testing.T, times int, begin, after func(*world)) {
	t.Helper()
	var reads, writes, lost int
	for left := times; left > 0 && !t.Failed(); left -= livesOfOne {
		w := newWorld(t, uint64(left))
		begin(w)
		for i := range min(left, livesOfOne) {
			switch {
			case w.keep > 0 || i%10 == 5:
				w.live(t, readers, writers)
				w.dieOld(t)
			case i%4 == 3:
				w.dieYoung(t)
			default:
				w.live(t, readers, writers)
				w.die(t)
			}
			after(w)
			if w.check(t); t.Failed() {
				t.Logf("life %d of a database, %d of the campaign", i+1, times-left+i+1)
				break
			}
		}
		w.verifies(t)
		reads, writes, lost = reads+w.reads, writes+w.writes, lost+w.lost
	}
	t.Logf("%d answered reads and %d acknowledged writes; %d reads were lost that may be", reads, writes, lost)
}

// relaxed lets a world answer before the disk has what it recorded.
func relaxed(w *world) { w.mode = "relaxed" }

// pruned lets a world forget what is in its log.
func pruned(w *world) { w.keep = 100 }

// Hosts are killed at random moments under 64 concurrent readers and writers.
// Every read that was answered is in the log, every write that was acknowledged
// is in the table, and the log is whole. That holds in both modes, for the
// system still has what the disk has not.
func TestKilledHostsLoseNothing(t *testing.T) {
	t.Parallel()
	nothing := func(*world) {}
	for _, c := range []struct {
		mode  string
		times int
		begin func(*world)
	}{
		{"durable", rounds(3, 300), nothing},
		{"relaxed", rounds(2, 100), relaxed},
		{"pruned", rounds(1, 40), pruned},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			campaign(t, c.times, c.begin, nothing)
		})
	}
}

// The same, and what was not synced is lost with the host: all of it, or here
// and there a part. The file is one of this host, or one of Datasette, which
// has another journal. In relaxed mode the last reads may be lost, but no write,
// and the log is whole up to where it ends.
func TestPowerCutsLoseNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode  string
		times int
		begin func(*world)
	}{
		{"durable", rounds(3, 150), func(*world) {}},
		{"file of Datasette", rounds(3, 150), ofDatasette(t)},
		{"relaxed", rounds(2, 100), func(w *world) { relaxed(w); w.mayLose = true }},
		{"pruned", rounds(1, 40), pruned},
		{"file of Datasette, relaxed", rounds(2, 40), func(w *world) { relaxed(w); ofDatasette(t)(w) }},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			begin := func(w *world) {
				c.begin(w)
				w.disk = harness.NewDisk(t, w.file).Forgetful()
			}
			campaign(t, c.times, begin, func(w *world) {
				some := w.chance.IntN(2) == 0
				w.disk.PowerCut(t, func() bool { return some && w.chance.IntN(2) == 0 })
			})
		})
	}
}

// ofDatasette gives a world a file as Datasette makes it.
func ofDatasette(t *testing.T) func(*world) {
	return func(w *world) {
		execute(t, w.file, "pragma journal_mode = delete; create table other (id integer primary key)")
	}
}

// verifies lets the program itself say that the log is whole, and that it grew
// from every head that was kept elsewhere.
func (w *world) verifies(t *testing.T) {
	t.Helper()
	args := []string{"audit", "verify", "--internal", w.file, "-s", "plugins.datasette-secrets.encryption-key", harness.Key}
	if len(w.kept(t)) > 0 {
		args = append(args, "--head", w.heads)
	}
	if r := harness.Run(t, "", args...); r.Code != 0 {
		t.Errorf("audit verify: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
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
