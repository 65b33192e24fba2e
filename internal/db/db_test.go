package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// upstream is the table as datasette-secrets 0.1a0 made it; later versions
// have no "redacted".
const upstream = `create table datasette_secrets (
	id integer primary key, name text not null, note text, version integer not null default 1,
	encrypted blob, encryption_key_name text not null, redacted text,
	created_at text, created_by text, updated_at text, updated_by text,
	deleted_at text, deleted_by text, last_used_at text, last_used_by text);`

func TestNewFile(t *testing.T) {
	t.Parallel()
	// A name that means something in a URI must not.
	path := filepath.Join(t.TempDir(), "odd name?mode=ro#%41.db")
	d := open(t, path)
	insert(t, d, "A", "one")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%q has mode %v, want 0600", suffix, info.Mode().Perm())
		}
	}
	if mode := scalar(t, path, "pragma journal_mode"); mode != "wal" {
		t.Errorf("journal mode %s, want wal", mode)
	}
}

func TestExistingFileKeepsItsJournalMode(t *testing.T) {
	t.Parallel()
	path := made(t, upstream)
	d := open(t, path)
	insert(t, d, "A", "one")
	if mode := scalar(t, path, "pragma journal_mode"); mode != "delete" {
		t.Errorf("journal mode %s, want delete", mode)
	}
}

func TestOldFilesAreMigrated(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"0.1a0": upstream,
		"0.3a0": strings.Replace(upstream, "redacted text,", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t, schema+`insert into datasette_secrets (name, note, version, encrypted, encryption_key_name)
				values ('A', null, 1, 'text token', 'default')`)
			for range 2 { // the second time, there is nothing to do
				d := open(t, path)
				row := newest(t, d, "A")
				if row.Version != 1 || string(row.Encrypted) != "text token" || row.Note != "" {
					t.Errorf("got %+v", row)
				}
				d.Close()
			}
			if n := scalar(t, path, "select count(*) from sqlite_master where type = 'index' and name like 'datasette_secrets_n%'"); n != "2" {
				t.Errorf("%s indexes, want 2", n)
			}
		})
	}
}

// The schema at the root is what every migration together makes.
func TestSchemaIsWhatMigrationsMake(t *testing.T) {
	t.Parallel()
	const query = "select group_concat(name || sql, ';') from (select name, sql from sqlite_master where sql is not null and name <> 'datasette_secrets_name_version' order by name)"
	path := filepath.Join(t.TempDir(), "new.db")
	open(t, path)
	if got, want := scalar(t, path, query), scalar(t, made(t, secrets.Schema), query); got != want {
		t.Errorf("migrations make\n%s\nschema.sql makes\n%s", got, want)
	}
}

func TestDoubleVersionsAreKept(t *testing.T) {
	t.Parallel()
	path := made(t, upstream+`insert into datasette_secrets (name, version, encrypted, encryption_key_name)
		values ('A', 1, 'first', 'default'), ('A', 1, 'second', 'default')`)
	d, warnings, err := db.Open(context.Background(), path, clock)
	if err != nil || len(warnings) != 1 {
		t.Fatalf("warnings %q, %v; want one", warnings, err)
	}
	defer d.Close()
	if row := newest(t, d, "A"); row.Version != 1 {
		t.Errorf("got %+v", row)
	}
	err = d.View(context.Background(), func(tx *db.Tx) error {
		rows, err := tx.NewestOfAll()
		if len(rows) != 1 {
			t.Errorf("%d rows for one name", len(rows))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{filepath.Join(dir, "missing", "x.db"), "does not exist; make it first"},
		{dir, "not a regular file"},
		{text, "not a SQLite database"},
		{made(t, "create table datasette_secrets (id integer primary key, name text)"), "lacks the columns created_at,"},
	} {
		d, _, err := db.Open(context.Background(), test.path, clock)
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open(%s): %v, want %q", test.path, err, test.want)
		}
	}
}

func TestUpdateThatFailsKeepsNothing(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "x.db"))
	wrong := errors.New("wrong")
	err := d.Update(context.Background(), func(tx *db.Tx) error {
		if _, _, err := tx.Insert(db.Row{Name: "A", KeyName: "default"}, 0); err != nil {
			return err
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Fatal(err)
	}
	err = d.View(context.Background(), func(tx *db.Tx) error {
		_, found, err := tx.Newest("A")
		if found {
			t.Error("the row was kept")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestViewCannotWrite(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "x.db"))
	err := d.View(context.Background(), func(tx *db.Tx) error {
		_, _, err := tx.Insert(db.Row{Name: "A", KeyName: "default"}, 0)
		return err
	})
	if err == nil {
		t.Error("a row was written in a view")
	}
}

func TestVersionsNeverCollide(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		d := open(t, path)
		wg.Go(func() {
			for range each {
				insert(t, d, "A", "token")
			}
		})
	}
	wg.Wait()
	if got := scalar(t, path, "select count(distinct version) || ' to ' || max(version) from datasette_secrets"); got != fmt.Sprintf("%d to %d", writers*each, writers*each) {
		t.Errorf("versions: %s", got)
	}
}

// A lock that another process holds too long is a clear, bounded error.
func TestLockedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	d := open(t, path)
	other := raw(t, path)
	if _, err := other.Exec("begin immediate"); err != nil {
		t.Fatal(err)
	}
	defer other.Exec("rollback")
	start := time.Now()
	err := d.Update(context.Background(), func(*db.Tx) error { return nil })
	if !errors.Is(err, secrets.ErrUnavailable) || !strings.Contains(err.Error(), "another process keeps the database locked") {
		t.Errorf("got %v", err)
	}
	if waited := time.Since(start); waited < 5*time.Second || waited > 20*time.Second {
		t.Errorf("waited %v", waited)
	}
}

func TestCancelledContextIsUnavailable(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := d.Update(ctx, func(*db.Tx) error { return nil })
	if !errors.Is(err, secrets.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func clock() time.Time { return at }

func open(t *testing.T, path string) *db.DB {
	t.Helper()
	d, warnings, err := db.Open(context.Background(), path, clock)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("opening: %v, warnings %q", err, warnings)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func insert(t *testing.T, d *db.DB, name, token string) {
	t.Helper()
	err := d.Update(context.Background(), func(tx *db.Tx) error {
		_, _, err := tx.Insert(db.Row{Name: name, Encrypted: []byte(token), KeyName: "default", CreatedBy: "root"}, 0)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func newest(t *testing.T, d *db.DB, name string) (row db.Row) {
	t.Helper()
	err := d.View(context.Background(), func(tx *db.Tx) (err error) {
		row, _, err = tx.Newest(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// made returns a new file in rollback-journal mode with these statements run.
func made(t *testing.T, statements string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	if _, err := raw(t, path).Exec(statements); err != nil {
		t.Fatal(err)
	}
	return path
}

func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+url.PathEscape(path))
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { pool.Close() })
	return pool
}

func scalar(t *testing.T, path, query string) (text string) {
	t.Helper()
	if err := raw(t, path).QueryRow(query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// runOn runs a statement on a file as another program would.
func runOn(t testing.TB, path, statement string) {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+url.PathEscape(path)+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
