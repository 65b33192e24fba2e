package db_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// told is the table of blocks, as sorted lines.
func told(t *testing.T, path string) (lines []string) {
	t.Helper()
	rows, err := raw(t, path).Query("select block, kind, text, uses from datasette_secrets_log_blocks")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var block, uses int64
		var kind string
		var text any
		if err := rows.Scan(&block, &kind, &text, &uses); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d %s %T %q %d", block, kind, text, text, uses))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// said is what the table of blocks has to be by the entries, one by one.
func said(t *testing.T, path string) (lines []string) {
	t.Helper()
	rows, err := raw(t, path).Query(`
		select id, name, actor_id, plugin, client, action, allowed, (select max(id) from datasette_secrets_log)
		from datasette_secrets_log where id > 0`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	uses := map[string]int{}
	for rows.Next() {
		var id, highest int64
		var texts [5]any
		var allowed any
		if err := rows.Scan(&id, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4], &allowed, &highest); err != nil {
			t.Fatal(err)
		}
		block := (id - 1) / 256
		if highest < 256*block+256 {
			continue
		}
		used := 0
		if texts[4] == "get" && allowed == int64(1) {
			used = 1
		}
		uses[fmt.Sprintf(`%d all string ""`, block)] += used
		for i, kind := range []string{"name", "actor_id", "plugin", "client"} {
			if texts[i] != nil {
				uses[fmt.Sprintf("%d %s %T %q", block, kind, texts[i], texts[i])] += used
			}
		}
		if texts[4] != nil && texts[4] != "get" {
			uses[fmt.Sprintf("%d action %T %q", block, texts[4], texts[4])] += 0
		}
		if allowed == int64(0) {
			uses[fmt.Sprintf(`%d refused string ""`, block)] += 0
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for line, n := range uses {
		lines = append(lines, fmt.Sprint(line, " ", n))
	}
	slices.Sort(lines)
	return lines
}

// toldIsSaid compares the table of blocks with the entries, here and as the
// program does it.
func toldIsSaid(t *testing.T, when, path string) {
	t.Helper()
	got, want := told(t, path), said(t, path)
	if !slices.Equal(got, want) {
		first := slices.IndexFunc(got, func(line string) bool { return !slices.Contains(want, line) })
		missing := slices.IndexFunc(want, func(line string) bool { return !slices.Contains(got, line) })
		t.Fatalf("%s: blocks have %d rows, want %d; row %d is wrong, and row %d is missing:\n%q\n%q", when, len(got), len(want), first, missing, got, want)
	}
	if wrong, others := checked(t, path); len(wrong) > 0 || others {
		t.Fatalf("%s: found wrong: %v, %v", when, wrong, others)
	}
}

// checked is what becomes of checking the blocks of a file that is only read.
func checked(t *testing.T, path string) (wrong []db.LogSpan, others bool) {
	t.Helper()
	d, err := db.OpenReadOnly(context.Background(), path, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	wrong, others, err = d.CheckBlocks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return wrong, others
}

// anEntry is one that nobody would expect.
func anEntry(r *rand.Rand) audit.Entry {
	of := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	return audit.Entry{
		Action: of("get", "get", "get", "get", "put", "get ", "", "GET"), Allowed: r.IntN(20) > 0,
		Name:    of("A", "B", "a", "", "it's", "nul\x00nul", "\xff\xfe", "名前", "7", fmt.Sprint("N", r.IntN(1000))),
		ActorID: of("", "", "root", "7.0", fmt.Sprint(r.IntN(500))), Plugin: of("", "demo", "A"), Client: of("", "billing", "A"),
	}
}

// What the table tells of blocks is what their entries say, however these came
// there: many or few in a transaction, by one process or two in turn, with changes
// that fail, and after pruning and opening the file again.
func TestBlocksTellWhatEntriesSay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	path := filepath.Join(t.TempDir(), "log.db")
	handles := []*db.DB{open(t, path), open(t, path)}
	used := handles[0]
	prune := func(tx *db.Tx) error {
		first, end, err := tx.Prunable(1+r.Int64N(1500), time.Time{})
		if err != nil {
			return err
		}
		if r.IntN(2) == 0 {
			tx.Record(audit.Entry{Action: audit.Prune, Version: end - 1, Allowed: true})
		}
		return tx.Prune(first, end)
	}
	for step := range 60 {
		if r.IntN(4) == 0 {
			used = handles[r.IntN(2)]
		}
		what, change := "recording", func(tx *db.Tx) error {
			for range []int{1 + r.IntN(5), 1 + r.IntN(100), 1 + r.IntN(1500)}[r.IntN(3)] {
				tx.Record(anEntry(r))
			}
			return nil
		}
		switch r.IntN(15) {
		case 0:
			what, change = "pruning", prune
		case 1:
			what, used = "opening", open(t, path)
			handles[r.IntN(2)] = used
		case 2:
			what = "failing"
			record := change
			change = func(tx *db.Tx) error { return errors.Join(record(tx), errors.ErrUnsupported) }
		}
		if err := used.Update(ctx, change); err != nil && what != "failing" {
			t.Fatalf("%s in step %d: %v", what, step, err)
		}
		toldIsSaid(t, fmt.Sprint(what, " in step ", step), path)
	}
}

// A block that was counted while it was written is not told of once its entries are
// pruned, nor is one that a transaction began which was lost.
func TestPrunedEntriesAreNotToldOf(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "log.db")
	d := open(t, path)
	record := func(name string, n int) {
		t.Helper()
		if err := d.Update(ctx, func(tx *db.Tx) error {
			for range n {
				tx.Record(audit.Entry{Action: "get", Name: name, ActorID: name, Plugin: name, Client: name, Allowed: true})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	record("GONE", 1000)
	record("STAYS", 10)
	if err := d.Update(ctx, func(tx *db.Tx) error { return tx.Prune(1, 1002) }); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Join(told(t, path), "\n"); strings.Contains(lines, "GONE") {
		t.Errorf("whole blocks: %s", lines)
	}
	record("STAYS", 100) // and with these the block is whole that was half written
	toldIsSaid(t, "after pruning", path)
	if lines := strings.Join(told(t, path), "\n"); strings.Contains(lines, "GONE") || !strings.Contains(lines, "STAYS") {
		t.Errorf("with one that became whole: %s", lines)
	}
	record("LOST", 100)
	runOn(t, path, `create trigger lost before insert on datasette_secrets_log_blocks begin select raise(abort, 'lost'); end`)
	if err := d.Update(ctx, func(tx *db.Tx) error {
		for range 200 {
			tx.Record(audit.Entry{Action: "get", Name: "NEVER", Allowed: true})
		}
		return nil
	}); err == nil {
		t.Error("a block that cannot be written is no error")
	}
	runOn(t, path, `drop trigger lost`)
	record("AFTER", 200)
	toldIsSaid(t, "after a transaction that was lost", path)
}

// Blocks that are not in the table are written when the file is opened: all of
// them in a file that has the indexes of before, and those that somebody deleted.
func TestOpenWritesMissingBlocks(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 20_000)
	d.Close()
	runOn(t, path, `update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null,
		actor_id = null, actor_proof = null, plugin = null, client = null, source = null, allowed = null, reason = null,
		request_id = null, remote = null, salt = null where id <= 1000`)
	runOn(t, path, `delete from datasette_secrets_log_blocks where block < 4`)
	for what, statement := range map[string]string{
		"an older file": `
			drop table datasette_secrets_log_blocks;
			delete from datasette_secrets_migrations where name = '0008-log-blocks';
			create index datasette_secrets_log_name on datasette_secrets_log (name, id, action, allowed);
			create index datasette_secrets_log_actor on datasette_secrets_log (actor_id, id) where actor_id is not null;
			create index datasette_secrets_log_plugin on datasette_secrets_log (plugin, id) where plugin is not null;
			create index datasette_secrets_log_client on datasette_secrets_log (client, id) where client is not null;
			create index datasette_secrets_log_action on datasette_secrets_log (action, id) where action <> 'get';
			create index datasette_secrets_log_refused on datasette_secrets_log (id) where allowed = 0`,
		"all of them":      `delete from datasette_secrets_log_blocks`,
		"the first one":    `delete from datasette_secrets_log_blocks where block = 0`,
		"one between":      `delete from datasette_secrets_log_blocks where block = 70`,
		"the newest ones":  `delete from datasette_secrets_log_blocks where block > 60`,
		"some of them":     `delete from datasette_secrets_log_blocks where block in (3, 4, 20, 77)`,
		"one half deleted": `delete from datasette_secrets_log_blocks where block = 30 and kind in ('all', 'name')`,
		"none":             ``,
	} {
		runOn(t, path, statement)
		d := open(t, path)
		toldIsSaid(t, what, path)
		d.Close()
	}
	if n := scalar(t, path, "select count(*) from sqlite_master where type = 'index' and tbl_name = 'datasette_secrets_log'"); n != "0" {
		t.Errorf("the log has %s indexes", n)
	}
	if n := scalar(t, path, "select max(block) from datasette_secrets_log_blocks"); n != "77" {
		t.Errorf("the newest block is %s", n)
	}
}

// Whatever somebody put into the log, a file is opened, and its blocks are written.
func TestBlocksTakeOddEntries(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 1000)
	d.Close()
	runOn(t, path, `
		update datasette_secrets_log set name = x'00ff', actor_id = 7, plugin = 7.5, client = '', action = x'676574', allowed = 'yes' where id % 5 = 0;
		update datasette_secrets_log set action = null, allowed = 2 where id % 7 = 0;
		update datasette_secrets_log set allowed = null where id % 11 = 0;
		delete from datasette_secrets_log where id between 400 and 700;
		delete from datasette_secrets_log_blocks`)
	toldAgain := func(what string) {
		d, _, err := db.Open(context.Background(), path, clock)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		d.Close()
		toldIsSaid(t, what, path)
	}
	toldAgain("odd values")
	runOn(t, path, `insert into datasette_secrets_log (id, name, leaf) values (1 << 40, 'FAR', x''), ((1 << 50) + 77, 'FARTHER', x''), (9223372036854775807, 'FARTHEST', x''), (-7, 'NEAR', x'')`)
	d, _, err := db.Open(context.Background(), path, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"FAR", "FARTHER", "SECRET_18"} {
		for _, up := range []bool{false, true} {
			if ids := paged(t, d, db.LogFilter{Name: name}, up, 10, 1000); len(ids) != 1 {
				t.Errorf("%s, up %v: found %d times", name, up, len(ids))
			}
		}
	}
}

// What somebody did to the table of blocks is found: which entries it tells other
// things of, and that it tells of entries that are not there. Deleting all of it
// mends that.
func TestCheckBlocks(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 6000)
	d.Close()
	toldIsSaid(t, "untouched", path)
	for statement, want := range map[string]string{
		`delete from datasette_secrets_log_blocks where block = 1`:                                                        "[{257 512}] false",
		`delete from datasette_secrets_log_blocks where block = 1 and kind = 'name' and text = 'SECRET_0'`:                "[{257 512}] false",
		`delete from datasette_secrets_log_blocks where block = 3 and kind = 'refused'`:                                   "[{769 1024}] false",
		`insert into datasette_secrets_log_blocks values (0, 'name', 'NOSUCH', 1)`:                                        "[{1 256}] false",
		`insert into datasette_secrets_log_blocks values (0, 'odd', '', 0)`:                                               "[{1 256}] false",
		`insert into datasette_secrets_log_blocks values (22, 'name', x'00', 0)`:                                          "[{5633 5888}] false",
		`insert into datasette_secrets_log_blocks values (2.5, 'all', '', 0)`:                                             "[{513 768}] false",
		`update datasette_secrets_log_blocks set uses = uses + 1 where block = 2 and kind = 'name' and text = 'SECRET_0'`: "[{513 768}] false",
		`update datasette_secrets_log_blocks set uses = 'many' where block = 2`:                                           "[{513 768}] false",
		`update datasette_secrets_log_blocks set block = -1 - block where block in (1, 2)`:                                "[{257 768}] true",
		`delete from datasette_secrets_log_blocks`:                                                                        "[{1 5888}] false",
		`insert into datasette_secrets_log_blocks values (23, 'name', 'SECRET_0', 1)`:                                     "[] true",
		`insert into datasette_secrets_log_blocks values (1 << 54, 'all', '', 0)`:                                         "[] true",
		`insert into datasette_secrets_log_blocks values ('x', 'all', '', 0)`:                                             "[] true",
		`drop table datasette_secrets_log_blocks`:                                                                         "[] false",
	} {
		c := filepath.Join(t.TempDir(), "copy.db")
		runOn(t, path, "vacuum into '"+c+"'")
		runOn(t, c, statement)
		wrong, others := checked(t, c)
		if got := fmt.Sprint(wrong, " ", others); got != want {
			t.Errorf("%s: got %s, want %s", statement, got, want)
		}
		if strings.HasPrefix(statement, "drop") {
			continue
		}
		runOn(t, c, "delete from datasette_secrets_log_blocks")
		d := open(t, c)
		toldIsSaid(t, "mended: "+statement, c)
		d.Close()
	}
}

// The log may grow while its blocks are compared.
func TestCheckBlocksOfALogThatGrows(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "log.db"))
	var writing sync.WaitGroup
	writing.Go(func() {
		for range 100 {
			if err := d.Update(context.Background(), func(tx *db.Tx) error {
				for range 100 {
					tx.Record(audit.Entry{Action: "get", Name: "A", Allowed: true})
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		wrong, others, err := d.CheckBlocks(context.Background())
		if len(wrong) > 0 || others || err != nil {
			t.Errorf("found wrong: %v, %v, %v", wrong, others, err)
		}
	}
	writing.Wait()
}

// A file of before that is only read has no table of blocks.
func TestLogWithoutBlocks(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 3000)
	d.Close()
	runOn(t, path, "drop table datasette_secrets_log_blocks")
	reading, err := db.OpenReadOnly(context.Background(), path, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	pagesAreComplete(t, reading)
	view(t, reading, func(tx *db.Tx) error {
		counts, err := tx.UsesOnDays("SECRET_0", logStart, 1)
		if err != nil || counts[0] != 1440 {
			t.Errorf("uses: %v, %v", counts, err)
		}
		return nil
	})
}
