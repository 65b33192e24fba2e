package crash

import (
	"database/sql"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The disk of these tests loses what SQLite says that a disk may lose, and
// nothing else: else the campaigns would prove nothing.
func TestDiskForgets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		journal, synchronous string
		rows                 int
	}{
		{"wal", "off", 0}, {"wal", "normal", 0}, {"wal", "full", 1}, {"wal", "extra", 1},
		{"delete", "off", 0}, {"delete", "full", 0}, {"delete", "extra", 1}, {"truncate", "full", 1},
	} {
		t.Run(c.journal+" "+c.synchronous, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "d.db")
			execute(t, file, "pragma journal_mode = "+c.journal+"; create table t (x); pragma wal_checkpoint(truncate)")
			disk := harness.NewDisk(t, file).Forgetful()
			cmd := exec.Command(harness.Python(t), "-c", `
import os, signal, sqlite3, sys
file, synchronous, journal = sys.argv[1:]
db = sqlite3.connect(file)
db.execute("pragma synchronous = " + synchronous)
db.execute("pragma journal_mode = " + journal)
db.execute("insert into t values (randomblob(9000))")
db.commit()
os.kill(os.getpid(), signal.SIGKILL)`, file, c.synchronous, c.journal)
			cmd.Env = harness.Env(disk.Env...)
			if out, err := cmd.CombinedOutput(); err == nil || len(out) > 0 {
				t.Fatalf("%v\n%s", err, out)
			}
			disk.PowerCut(t, func() bool { return false })
			raw, err := sql.Open("sqlite3", "file:"+file)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			var n int
			var health string
			if err := raw.QueryRow("select count(*) from t").Scan(&n); err != nil || n != c.rows {
				t.Errorf("%d rows are left, want %d (%v)", n, c.rows, err)
			}
			if err := raw.QueryRow("pragma integrity_check").Scan(&health); err != nil || health != "ok" && c.synchronous != "off" {
				t.Errorf("the file is %q, %v", health, err)
			}
		})
	}
}
