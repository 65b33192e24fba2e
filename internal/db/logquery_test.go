package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// logStart is the time of the first entry of the logs here, and logStep what
// lies between two.
var logStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const logStep = 8 * time.Second

// logOf opens a database whose log has so many entries, half of them about one
// secret, made by one statement.
func logOf(t testing.TB, entries int) (d *db.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log.db")
	d, _, err := db.Open(context.Background(), path, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	runOn(t, path, fmt.Sprintf(`
		delete from datasette_secrets_log;
		insert into datasette_secrets_log (id, time, action, name, secret_id, version, actor_id, actor_proof,
			plugin, client, source, allowed, reason, request_id, remote, salt, leaf)
		with recursive n(i) as (select 1 union all select i + 1 from n where i < %d)
		select i, strftime('%%Y-%%m-%%d %%H:%%M:%%f', %d + (i - 1) * 8, 'unixepoch'),
			case when i %% 50 = 0 then 'put' else 'get' end,
			'SECRET_' || case when i %% 2 = 0 then 0 else 1 + i %% 997 end, 1 + i %% 997, 1,
			case when i %% 3 = 0 then 'alice' when i %% 7 = 0 then 'user' || (i %% 1000) end, 'asserted',
			case when i %% 2 = 0 then 'plugin' || (i %% 6) end, case when i %% 2 = 1 then 'client' || (i %% 11) end,
			'database', i %% 1000 <> 0, 'granted', 'request' || i, '127.0.0.1:1', zeroblob(16), zeroblob(32) from n`,
		entries, logStart.Unix()))
	if err := d.FillBlocks(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d, path
}

// view runs fn in a transaction that reads.
func view(t testing.TB, d *db.DB, fn func(*db.Tx) error) {
	t.Helper()
	if err := d.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func filters() map[string]db.LogFilter {
	yes, no := true, false
	return map[string]db.LogFilter{
		"":             {},
		"name":         {Name: "SECRET_0"},
		"rare name":    {Name: "SECRET_17"},
		"no name":      {Name: "NOSUCH"},
		"actor":        {Actor: "alice"},
		"plugin":       {Plugin: "plugin2"},
		"client":       {Client: "client3"},
		"put":          {Action: "put"},
		"get":          {Action: "get"},
		"no action":    {Action: "seal-init"},
		"allowed":      {Allowed: &yes},
		"refused":      {Allowed: &no},
		"contrary":     {Plugin: "plugin2", Client: "client3"},
		"two":          {Name: "SECRET_0", Actor: "alice"},
		"three":        {Name: "SECRET_0", Actor: "alice", Action: "put"},
		"name and get": {Name: "SECRET_17", Action: "get", Allowed: &yes},
		"time":         {Since: logStart.Add(1000 * logStep), Until: logStart.Add(1100 * logStep)},
		"late":         {Name: "SECRET_0", Since: logStart.AddDate(20, 0, 0)},
		"early":        {Name: "SECRET_0", Until: logStart},
	}
}

// No filter reads the whole log: blocks are found by the primary key of their
// table, entries by their ids, and nothing is sorted.
func TestLogPlans(t *testing.T) {
	t.Parallel()
	d, _ := logOf(t, 1000)
	for name, filter := range filters() {
		for _, up := range []bool{false, true} {
			var plan []string
			view(t, d, func(tx *db.Tx) (err error) {
				plan, err = tx.LogPlan(filter, up)
				return err
			})
			byBlocks := 0
			for _, step := range plan {
				switch {
				case strings.HasPrefix(step, "SEARCH b USING PRIMARY KEY (block=? AND kind=? AND text=?)"):
					byBlocks++
				case strings.HasPrefix(step, "SEARCH datasette_secrets_log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"):
				case strings.HasPrefix(step, "SEARCH "), strings.Contains(step, "TEMP B-TREE"),
					strings.HasPrefix(step, "SCAN ") && step != "SCAN at" && step != "SCAN CONSTANT ROW":
					t.Errorf("%q: %q", name, plan)
				}
			}
			if byBlocks != texts(filter) {
				t.Errorf("%q looks for %d texts: %q", name, texts(filter), plan)
			}
		}
	}
}

// texts is for how many texts blocks are asked.
func texts(f db.LogFilter) (n int) {
	for _, text := range []string{f.Name, f.Actor, f.Plugin, f.Client, strings.TrimPrefix(f.Action, "get")} {
		if text != "" {
			n++
		}
	}
	if f.Allowed != nil && !*f.Allowed {
		n++
	}
	return n
}

// Paging through any filter finds each entry that it means once, in order,
// however few entries are looked at for a page; also in a log with gaps and
// pruned entries, and however much of it the table of blocks tells of.
func TestLogPagesAreComplete(t *testing.T) {
	t.Parallel()
	for what, statement := range map[string]string{
		"all blocks":      "",
		"the first ones":  "delete from datasette_secrets_log_blocks where block >= 5",
		"none":            "delete from datasette_secrets_log_blocks",
		"one far above":   "insert into datasette_secrets_log_blocks values (1 << 50, 'all', '', 0), (11, 'all', '', 0)",
		"one between two": "insert into datasette_secrets_log_blocks values (2.5, 'all', '', 0), (10.5, 'name', 'SECRET_0', 0)",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, path := logOf(t, 3000)
			runOn(t, path, `delete from datasette_secrets_log where id between 1500 and 1520 or id = 3`)
			runOn(t, path, `update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null,
				actor_id = null, actor_proof = null, plugin = null, client = null, source = null, allowed = null, reason = null,
				request_id = null, remote = null, salt = null where id <= 400`)
			runOn(t, path, statement)
			pagesAreComplete(t, d)
		})
	}
}

func pagesAreComplete(t *testing.T, d *db.DB) {
	t.Helper()
	var all []db.LogRow
	view(t, d, func(tx *db.Tx) error {
		page, err := tx.NewerLog(db.LogFilter{}, 0, 3000)
		all = page.Entries
		if page.More || len(all) < 2900 {
			t.Errorf("%d entries, and more: %v", len(all), page.More)
		}
		return err
	})
	for name, filter := range filters() {
		var want []int64
		for _, e := range all {
			if means(filter, e) {
				want = append(want, e.ID)
			}
		}
		for _, up := range []bool{false, true} {
			limit, most := 1+rand.IntN(200), 1+rand.Int64N(700)
			got := paged(t, d, filter, up, limit, most)
			if !up {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q, up %v, limit %d, looking at %d: got %d entries, want %d", name, up, limit, most, len(got), len(want))
			}
		}
	}
}

// paged are the ids of all entries that a filter means, read in pages.
func paged(t *testing.T, d *db.DB, filter db.LogFilter, up bool, limit int, most int64) (ids []int64) {
	t.Helper()
	from := int64(math.MaxInt64)
	if up {
		from = 0
	}
	for more := true; more; {
		view(t, d, func(tx *db.Tx) error {
			page, err := tx.LogLooking(filter, from, limit, up, most)
			for _, e := range page.Entries {
				ids = append(ids, e.ID)
			}
			if page.More && page.Next == from {
				t.Fatalf("%+v: no progress at %d", filter, from)
			}
			more, from = page.More, page.Next
			return err
		})
	}
	return ids
}

// means is what a filter does, said in another way.
func means(f db.LogFilter, e db.LogRow) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	in := func(moment time.Time, before bool) bool {
		return moment.IsZero() || !e.Pruned && (e.Time < moment.Format(audit.TimeLayout)) == before
	}
	return is(f.Name, e.Name) && is(f.Actor, e.ActorID) && is(f.Plugin, e.Plugin) && is(f.Client, e.Client) && is(f.Action, e.Action) &&
		(f.Allowed == nil || !e.Pruned && *f.Allowed == e.Allowed) &&
		in(f.Since, false) && (in(f.Until, true) || e.Pruned)
}

// What people type is compared, and nothing else: no wildcards, no SQL, and ids
// of any size.
func TestLogTakesOddFilters(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 100)
	for _, odd := range []string{"%", "_", "SECRET_%", "*", "' or 1=1 --", "SECRET_0' --", "\x00", "\xff", strings.Repeat("x", 1<<20)} {
		for _, filter := range []db.LogFilter{{Name: odd}, {Actor: odd}, {Plugin: odd}, {Client: odd}, {Action: odd}} {
			view(t, d, func(tx *db.Tx) error {
				page, err := tx.OlderLog(filter, 0, 10)
				if len(page.Entries) > 0 || page.More {
					t.Errorf("%.20q finds %d entries", odd, len(page.Entries))
				}
				return err
			})
		}
	}
	runOn(t, path, `insert into datasette_secrets_log (id, time, action, allowed, version, leaf) values
		(9223372036854775807, x'ff00', 7, 'no', 'one', 'text'), (-9223372036854775808, 'x', 'y', 1, null, x'')`)
	for _, from := range []int64{math.MinInt64, -1, 0, 1, 2, 101, math.MaxInt64 - 1, math.MaxInt64} {
		for _, filter := range filters() {
			view(t, d, func(tx *db.Tx) error {
				_, err := tx.OlderLog(filter, from, 10)
				if err != nil {
					return err
				}
				page, err := tx.NewerLog(filter, from, 10)
				if page.Next < from {
					t.Errorf("from %d goes on from %d", from, page.Next)
				}
				return err
			})
		}
	}
	view(t, d, func(tx *db.Tx) error {
		e, found, err := tx.LogRow(math.MaxInt64)
		if !found || e.Action != "7" || e.Version != 0 || e.Allowed || string(e.Leaf) != "text" {
			t.Errorf("the odd entry is %+v", e)
		}
		return err
	})
}

func TestUsesOnDays(t *testing.T) {
	t.Parallel()
	const entries = 25_000 // of two days and a bit, 10,800 a day
	d, path := logOf(t, entries)
	for _, statement := range []string{"", "delete from datasette_secrets_log_blocks where block > 50", "delete from datasette_secrets_log_blocks"} {
		runOn(t, path, statement)
		view(t, d, func(tx *db.Tx) error {
			// Every second one, but for those that store and those that were refused.
			const perDay = 10_800/2 - 10_800/50
			got, err := tx.UsesOnDays("SECRET_0", logStart.AddDate(0, 0, -2).Add(5*time.Hour), 7)
			if want := []int64{0, 0, perDay, perDay, 3400/2 - 3400/50, 0, 0}; !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", statement, got, want)
			}
			return err
		})
	}
	runOn(t, path, "delete from datasette_secrets_log")
	view(t, d, func(tx *db.Tx) error {
		got, err := tx.UsesOnDays("SECRET_0", logStart, 3)
		if !slices.Equal(got, []int64{0, 0, 0}) {
			t.Errorf("an empty log has uses: %v", got)
		}
		return err
	})
}

func TestLogStats(t *testing.T) {
	t.Parallel()
	d, _ := logOf(t, 2000)
	view(t, d, func(tx *db.Tx) error {
		stats, err := tx.LogStats(db.LogFilter{}, 1000)
		if stats.Lowest != 1001 || stats.Highest != 2000 || stats.Entries != 1000 {
			t.Errorf("%+v", stats)
		}
		if want := []db.LogCount{{"get", 980, 0}, {"put", 19, 1}}; !slices.Equal(stats.ByAction, want) {
			t.Errorf("actions: %v", stats.ByAction)
		}
		if len(stats.ByName) != 50 || stats.ByName[0].Text != "SECRET_0" || stats.ByName[0].Allowed != 499 {
			t.Errorf("names: %v", stats.ByName)
		}
		return err
	})
}

// An entry is written with the names of the table's columns, and cells that a
// spreadsheet would compute are texts.
func TestLogEntryAsText(t *testing.T) {
	t.Parallel()
	e := db.LogRow{ID: 7, Time: "2026-01-02 03:04:05.678", Action: "get", Name: "A\"<", ActorID: "=1+1", Plugin: "-x", Reason: "＝x", Leaf: []byte{1, 255}}
	text, err := json.Marshal(e)
	const want = `{"id":7,"time":"2026-01-02 03:04:05.678","action":"get","name":"A\"\u003c","secret_id":null,"version":null,` +
		`"actor_id":"=1+1","actor_proof":null,"plugin":"-x","client":null,"source":null,"allowed":0,"reason":"＝x",` +
		`"request_id":null,"remote":null,"salt":null,"leaf":"01ff"}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	cells := e.Cells()
	for column, want := range map[int]string{0: "7", 3: "A\"<", 6: "'=1+1", 8: "'-x", 11: "0", 12: "'＝x", 16: "01ff"} {
		if cells[column] != want {
			t.Errorf("the cell of %s is %q, want %q", db.LogColumns()[column], cells[column], want)
		}
	}
	d, path := logOf(t, 0)
	view(t, d, func(*db.Tx) error { return nil })
	columns := scalar(t, path, "select group_concat(name) from pragma_table_info('datasette_secrets_log')")
	if got := strings.Join(db.LogColumns(), ","); got != columns {
		t.Errorf("the columns are %s, the table has %s", got, columns)
	}
}

// A million entries are as quick as a few thousand. Not in CI: making them takes
// half a minute.
func TestLogOfAMillion(t *testing.T) {
	t.Parallel()
	entries := 5_000
	if harness.Soak() {
		entries = 1_000_000
	}
	d, _ := logOf(t, entries)
	measure := func(what string, ask func(*db.Tx) error) {
		begin := time.Now()
		view(t, d, ask)
		t.Logf("%-20s %v", what, time.Since(begin).Round(100*time.Microsecond))
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	for name, filter := range filters() {
		measure("older "+name, func(tx *db.Tx) error { _, err := tx.OlderLog(filter, 0, 100); return err })
		measure("newer "+name, func(tx *db.Tx) error { _, err := tx.NewerLog(filter, int64(entries)/2, 100); return err })
	}
	measure("chart", func(tx *db.Tx) error { _, err := tx.UsesOnDays("SECRET_0", logStart, 90); return err })
	measure("chart of a rare one", func(tx *db.Tx) error { _, err := tx.UsesOnDays("SECRET_17", logStart, 90); return err })
	measure("stats", func(tx *db.Tx) error { _, err := tx.LogStats(db.LogFilter{}, 1_000_000); return err })
}

// Opening a file to read its log changes nothing, and sees what another process
// writes.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	writer, path := logOf(t, 3)
	d, err := db.OpenReadOnly(context.Background(), path, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	last := func() (id int64) {
		view(t, d, func(tx *db.Tx) error {
			found, err := tx.OlderLog(db.LogFilter{}, 0, 1)
			id = found.Entries[0].ID
			return err
		})
		return id
	}
	before := last()
	if err := writer.Update(context.Background(), func(tx *db.Tx) error {
		return tx.SetNote(1, "changes nothing", "root")
	}); err != nil {
		t.Fatal(err)
	}
	runOn(t, path, "insert into datasette_secrets_log (leaf) values (zeroblob(32))")
	if after := last(); after != before+1 {
		t.Errorf("the newest entry is %d, then %d", before, after)
	}
	err = d.Update(context.Background(), func(tx *db.Tx) error {
		_, _, err := tx.Insert(db.Row{Name: "A", KeyName: "default"}, 0)
		return err
	})
	if err == nil {
		t.Error("it was written to")
	}
	for what, path := range map[string]string{
		"an upstream file": made(t, upstream), "no file": filepath.Join(t.TempDir(), "nosuch.db"), "a folder": t.TempDir(),
	} {
		if d, err := db.OpenReadOnly(context.Background(), path, clock); err == nil {
			d.Close()
			t.Errorf("%s was opened", what)
		}
	}
	old := made(t, upstream)
	if _, err := db.OpenReadOnly(context.Background(), old, clock); !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "no audit log yet") {
		t.Error(err)
	}
	if tables := scalar(t, old, "select count(*) from sqlite_master"); tables != "1" {
		t.Errorf("the old file has %s tables by now", tables)
	}
}
