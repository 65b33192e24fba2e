//go:build bench

package bench

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
	"github.com/datasette-secrets/datasette-secrets/tests/testdata/pace"
)

const manyCallers = 64

// recordedReads is GetSecret of a plugin with every read in the log, beside a
// bare echo over the same kind of connection, a bare commit, and Python.
func recordedReads(t *testing.T) []row {
	const calls, crowd = 1000, 16_000
	durable, relaxed := startReading(t), startReading(t, "-s", "plugins.datasette-secrets.audit", "relaxed")
	bare := startEcho(t)
	var alone, rested, many, tail, lax []float64
	var one, echo1, commit, after time.Duration
	var crowded, echoed, relaxing pace.Figures
	for i := range 7 { // side by side, for the machine changes its pace
		echo1, commit = each(bare(1, calls)), bareCommit(t, func() {})
		after = bareCommit(t, func() { time.Sleep(echo1) })
		one = each(durable.Pace(t, "get", "KEY", 1, calls))
		echoed = bare(manyCallers, crowd)
		crowded = durable.Pace(t, "get", "KEY", manyCallers, crowd)
		relaxing = relaxed.Pace(t, "get", "KEY", manyCallers, crowd)
		if i == 0 {
			continue // it warms up
		}
		alone = append(alone, float64(one)/float64(echo1+commit*3/2))
		rested = append(rested, float64(one)/float64(echo1+after*3/2))
		many = append(many, rate(crowded)/rate(echoed))
		lax = append(lax, rate(relaxing)/rate(echoed))
		tail = append(tail, float64(crowded.P99)/float64(echoed.P99))
	}
	python := readPython(t, 1, manyCallers)
	f := func(all []float64) string { return fmt.Sprintf("%.2f", middle(all)) }
	second := func(p pace.Figures) string { return fmt.Sprintf("%.0f/s", rate(p)) }
	return []row{
		{"`GetSecret` of a plugin, recorded durably; echo + 1.5 commits", us(one), us(echo1 + commit*3/2), f(alone), "≤ 1"},
		{"… the same, each commit after a pause as long as an echo", us(one), us(echo1 + after*3/2), f(rested), ""},
		{"… 64 callers; echo with 64 callers (ratio of rates)", second(crowded), second(echoed), f(many), "≥ 0.5"},
		{"… 64 callers, 99th percentile; echo's", ms(crowded.P99), ms(echoed.P99), f(tail), "≤ 3"},
		{"… 64 callers; 64 × `await get_secret()` of Python (ratio of rates)", second(crowded), perSecond(python), fmt.Sprintf("%.1f", rate(crowded)*python.Seconds()), "≥ 8"},
		{"… 64 callers, `audit: relaxed`; echo with 64 callers (ratio of rates)", second(relaxing), second(echoed), f(lax), "≥ 0.7"},
	}
}

func startReading(t *testing.T, args ...string) *harness.Probe {
	t.Helper()
	probe := harness.NewProbe(t, "KEY")
	args = append(append(append(manage(), "--internal", filepath.Join(t.TempDir(), "internal.db")), probe.Args...), args...)
	p := harness.Start(t, harness.Options{Args: args})
	if r := p.SetSecret(t, "KEY", "a value of usual length, 40 characters..", "", secrets.NewActor("root")); r.StatusCode != 302 {
		t.Fatalf("status %d", r.StatusCode)
	}
	return probe
}

func each(p pace.Figures) time.Duration { return p.Total / time.Duration(p.Calls) }
func rate(p pace.Figures) float64       { return float64(p.Calls) / p.Total.Seconds() }

// bareCommit is the time of one row, put on the disk by SQLite. What happens
// between two of them is not counted.
func bareCommit(t *testing.T, between func()) time.Duration {
	t.Helper()
	d, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "bare.db")+"?_journal_mode=wal&_synchronous=full")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.SetMaxOpenConns(1)
	if _, err := d.Exec("create table t (n integer)"); err != nil {
		t.Fatal(err)
	}
	const commits = 300
	var took time.Duration
	for i := range commits {
		between()
		began := time.Now()
		if _, err := d.Exec("insert into t values (?)", i); err != nil {
			t.Fatal(err)
		}
		took += time.Since(began)
	}
	return took / commits
}

// flatReads is how much longer a read takes when there is much of everything.
func flatReads(t *testing.T) []row {
	const entries = 1_000_000
	few, secretsToo, logToo := filepath.Join(t.TempDir(), "few.db"), filepath.Join(t.TempDir(), "secrets.db"), filepath.Join(t.TempDir(), "log.db")
	fill(t, few, 1, 1)
	fill(t, secretsToo, 1000, 1)
	fill(t, logToo, 1, 1)
	fillLog(t, logToo, entries)
	took := readHere(t, few, secretsToo, logToo)
	base, many, logged := took[0], took[1], took[2]
	return []row{
		{"`GetSecret`, 1,000 secrets : 1 secret", perSecond(many), perSecond(base), ratio(many, base), "≤ 1.1"},
		{"… 1,000,000 entries in the log : none", perSecond(logged), perSecond(base), ratio(logged, base), "≤ 1.1"},
	}
}

// fillLog makes a log of so many reads.
func fillLog(t *testing.T, file string, entries int) {
	t.Helper()
	d, _, err := db.Open(context.Background(), file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const batch = 50_000
	for range entries / batch {
		err := d.Update(context.Background(), func(tx *db.Tx) error {
			for i := range batch {
				tx.Record(audit.Entry{
					Action: "get", Name: "SECRET_0000", SecretID: 1, Version: 1, ActorID: fmt.Sprint("user", i%100),
					Proof: "asserted", Plugin: "bench", Source: "database", Allowed: true, Reason: "granted to this plugin",
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
