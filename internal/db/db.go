// Package db is all the SQL of datasette-secrets, over one SQLite file that
// Python's Datasette may have open at the same time.
//
// # Living with another process
//
// Either side may hold the file's lock for a while and gives up on the other
// after a few seconds. So every write is one short BEGIN IMMEDIATE transaction
// on a single connection, reads come from a small pool and never outlive the
// call that made them, and both wait for a lock no longer than [BusyTimeout].
// Between two writes the file is free for a while, so that others come in.
// An existing file keeps the journal mode that it has; a new one uses WAL.
//
// # Time and errors
//
// Time comes from Go, one instant per transaction, as UTC text of the form
// 2006-01-02 15:04:05, which is what SQLite's datetime('now') writes. An error
// that goes away by itself, such as a lock or a full disk, is
// secrets.ErrUnavailable.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/batch"
)

// BusyTimeout is how long a statement waits for another process's lock.
// Datasette waits five seconds; waiting a little longer lets it finish first.
const BusyTimeout = 6 * time.Second

// maxWait bounds a transaction as a whole, its wait for a connection included.
// A statement that waits for a lock cannot be interrupted, so that one more
// BusyTimeout may pass.
const maxWait = 10 * time.Second

// readers is how many reads run side by side.
const readers = 4

// DB is an open database of secrets. It is safe for concurrent use.
type DB struct {
	path    string
	write   *sql.DB
	read    *sql.DB
	observe *sql.DB // one connection, for Changes
	now     func() time.Time
	group   *batch.Group[*change]
	sync    syncing
	hasWAL  bool                                             // set by Open
	tail    logTail                                          // used by whoever has the turn
	known   known                                            // used by whoever has the turn
	room    room                                             // used by whoever has the turn
	told    func(changes int, took time.Duration, err error) // of every transaction that writes; may be nil
}

// Tx is one transaction. Its methods are the statements of this package; it
// must not be used after the function that received it has returned.
type Tx struct {
	ctx   context.Context
	until time.Time // when it is to end; zero if ctx says it
	conn  *sql.Conn
	now   time.Time

	tail  *logTail // of a transaction that writes
	known *known   // likewise
	// protected tells that what is written now can be undone by itself: it has
	// a savepoint, or the transaction to itself.
	protected bool
}

// Now is the instant of the transaction, the same for all its statements.
func (t *Tx) Now() time.Time { return t.now }

// View runs fn in a transaction that only reads.
func (d *DB) View(ctx context.Context, fn func(*Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	conn, err := begin(ctx, d.read, "begin")
	if err != nil {
		return classify("beginning a transaction", err)
	}
	defer end(conn)
	t := &Tx{ctx: ctx, conn: conn, now: d.now().UTC()}
	if err := fn(t); err != nil {
		return err
	}
	return classify("committing a transaction", t.commit())
}

// Changes returns a number that is another one than the last time if anything
// was committed to the file since, by this process or any other. Asking costs
// almost nothing.
func (d *DB) Changes(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	var version int64
	err := d.observe.QueryRowContext(ctx, "pragma data_version").Scan(&version)
	return version, classify("looking for changes of the database", err)
}

// Close ends every connection. It waits for running transactions.
func (d *DB) Close() error {
	err := errors.Join(d.sync.now(d.path), d.observe.Close(), d.read.Close(), d.write.Close())
	if err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	return nil
}
