package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // the "sqlite3" driver
	"golang.org/x/sys/unix"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/batch"
)

// Open opens the file at path, makes it if it is missing (readable by its
// owner only), and brings its tables up to date. now is the clock.
//
// The warnings are sentences for the operator about things that work, but not
// as well as they should.
func Open(ctx context.Context, path string, now func() time.Time) (d *DB, warnings []string, err error) {
	fresh, err := create(path)
	if err != nil {
		return nil, nil, err
	}
	d = &DB{path: path, now: now}
	d.group = batch.New(d.commit)
	if d.write, err = connect(path, nil, 1); err != nil {
		return nil, nil, err
	}
	if d.read, err = connect(path, url.Values{"_query_only": {"1"}, "_cache_size": {readCache}}, readers); err != nil {
		d.write.Close()
		return nil, nil, err
	}
	if d.observe, err = connect(path, url.Values{"_query_only": {"1"}}, 1); err != nil {
		d.read.Close()
		d.write.Close()
		return nil, nil, err
	}
	if fresh {
		err = d.useWAL(ctx)
	}
	if err == nil {
		warnings, err = d.migrate(ctx)
	}
	if err == nil {
		err = d.fillBlocks(ctx)
	}
	if err == nil {
		err = d.connectReaders(ctx)
	}
	if err == nil {
		err = d.findWAL(ctx)
	}
	if err != nil {
		d.Close()
		return nil, nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	return d, warnings, nil
}

// OpenReadOnly opens the file at path to look at its log, and changes nothing: it
// makes no tables, and works beside a running host and on a medium that cannot be
// written.
func OpenReadOnly(ctx context.Context, path string, now func() time.Time) (*DB, error) {
	params := url.Values{"mode": {"ro"}, "_query_only": {"1"}}
	if frozen(path) {
		params.Set("immutable", "1")
	}
	d := &DB{path: path, now: now}
	d.group = batch.New(d.commit)
	for _, pool := range []**sql.DB{&d.write, &d.read, &d.observe} {
		opened, err := connect(path, params, readers)
		if err != nil {
			return nil, err
		}
		*pool = opened
	}
	var tables int
	err := d.read.QueryRowContext(ctx, "select count(*) from sqlite_master where type = 'table' and name = 'datasette_secrets_log'").Scan(&tables)
	if err = classify("opening it", err); err == nil && tables == 0 {
		err = fmt.Errorf("%w: it has no audit log yet; one begins when a host of this version opens it", secrets.ErrInvalid)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("reading the database %s: %w", path, err)
	}
	return d, nil
}

// frozen reports whether nobody can have a file open to write it: neither it nor
// its folder can be written, and there is no log of changes beside it. SQLite then
// has to be told, because it would make files beside it to read one in WAL mode.
func frozen(path string) bool {
	for _, name := range []string{path, filepath.Dir(path)} {
		if unix.Access(name, unix.W_OK) == nil {
			return false
		}
	}
	info, err := os.Stat(path + "-wal")
	return err != nil || info.Size() == 0
}

// Create makes an empty, valid database at path if there is none, as
// Datasette's --create does.
func Create(ctx context.Context, path string) error {
	fresh, err := create(path)
	if err != nil || !fresh {
		return err
	}
	pool, err := connect(path, nil, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.ExecContext(ctx, "pragma journal_mode = wal; vacuum"); err != nil {
		return fmt.Errorf("creating the database %s: %w", path, classify("writing it", err))
	}
	return nil
}

// Check reports whether the file at path is a SQLite database.
func Check(ctx context.Context, path string) error {
	pool, err := connect(path, url.Values{"mode": {"ro"}}, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	var n int
	err = pool.QueryRowContext(ctx, "select count(*) from sqlite_master").Scan(&n)
	if err != nil {
		return fmt.Errorf("reading the database %s: %w", path, classify("opening it", err))
	}
	return nil
}

// readCache is what each reading connection may keep of the file, in SQLite's
// notation: 8 MiB, enough for ten thousand versions.
const readCache = "-8192"

// create makes the file with the right mode before SQLite would make it with
// the wrong one; SQLite gives its -wal and -shm files the same mode. It reports
// whether the file is fresh: new, or still empty.
func create(path string) (fresh bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		// The umask can only have taken rights away that the owner needs.
		err = errors.Join(f.Chmod(0o600), f.Close())
		return true, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("creating the database %s: the folder %s does not exist; make it first", path, filepath.Dir(path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("creating the database: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("opening the database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("opening the database %s: it is not a regular file", path)
	}
	return info.Size() == 0, nil
}

func connect(path string, params url.Values, limit int) (*sql.DB, error) {
	query := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {fmt.Sprint(BusyTimeout.Milliseconds())},
		// Not FULL: a file without a write-ahead log, such as one of Datasette,
		// commits by removing its journal, and only EXTRA syncs the folder then.
		// Without that a power cut takes back what was committed last.
		"_synchronous": {"EXTRA"},
		// Half of the time of a small statement goes into preparing it.
		"_stmt_cache_size": {"64"},
	}
	for key, values := range params {
		query[key] = values
	}
	pool, err := sql.Open("sqlite3", "file:"+url.PathEscape(path)+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	pool.SetMaxOpenConns(limit)
	pool.SetMaxIdleConns(limit)
	return pool, nil
}

// useWAL lets readers and one writer work side by side. A file system that
// cannot do it leaves the mode as it is, which is slower but correct.
func (d *DB) useWAL(ctx context.Context) error {
	_, err := d.write.ExecContext(ctx, "pragma journal_mode = wal")
	return classify("switching to write-ahead logging", err)
}

// findWAL finds out whether the file has a write-ahead log. One that has cannot
// lose it while it is open here; one that has not counts as without, should it
// get one.
func (d *DB) findWAL(ctx context.Context) error {
	var mode string
	err := d.read.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode)
	d.hasWAL = mode == "wal"
	return classify("asking for the journal mode", err)
}

// connectReaders opens every connection of the pool, which keeps them. Opening
// one reads the file: later, while another process locks it, that would fail
// without the patience of a statement.
func (d *DB) connectReaders(ctx context.Context) error {
	for range readers {
		conn, err := d.read.Conn(ctx)
		if err != nil {
			return classify("opening a connection", err)
		}
		defer conn.Close() // back to the pool once all are open
	}
	return nil
}

// CheckAll looks for damage in the whole file.
func (d *DB) CheckAll(ctx context.Context) error {
	var found string
	err := d.read.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&found)
	if err == nil && found != "ok" {
		return fmt.Errorf("checking the database %s: it is damaged: %s", d.path, found)
	}
	return classify("checking the database "+d.path, err)
}

// SQLiteVersion is the version of the SQLite library in use.
func (d *DB) SQLiteVersion(ctx context.Context) (string, error) {
	var version string
	err := d.read.QueryRowContext(ctx, "select sqlite_version()").Scan(&version)
	return version, classify("asking for the SQLite version", err)
}
