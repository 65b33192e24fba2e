package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"github.com/mattn/go-sqlite3"
)

// A transaction of database/sql starts a goroutine for its context and another
// one for each of its queries, which costs more than a small query itself. So
// the transactions of this package are statements on a connection that nobody
// else has meanwhile, with contexts that do not end; whoever runs one looks at
// the time between the statements.

// begin takes a connection of a pool and begins a transaction on it with a
// statement. Whatever happens, the caller ends it with end.
func begin(ctx context.Context, pool *sql.DB, statement string) (*sql.Conn, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := step(conn, statement, nil); err != nil {
		end(conn)
		return nil, err
	}
	return conn, nil
}

// commit keeps what a transaction did, provided that its time is not over.
func (t *Tx) commit() error {
	if err := t.over(); err != nil {
		return err
	}
	return step(t.conn, "commit", nil)
}

// step runs a statement that returns nothing. It goes to the driver past
// database/sql, which copies the values, and as a query: that is one call of
// SQLite, where the driver's Exec makes one for every value and prepares each
// statement that has none anew.
func step(conn *sql.Conn, statement string, values []driver.NamedValue) error {
	return conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), statement, values)
		if err != nil {
			return err
		}
		return rows.Close()
	})
}

// over is why a transaction is to do nothing more.
func (t *Tx) over() error {
	if !t.until.IsZero() && time.Now().After(t.until) {
		return context.DeadlineExceeded
	}
	return t.ctx.Err()
}

// end gives a connection back to its pool, without a transaction: one that is
// not committed is undone. A connection that cannot even do that is closed,
// which undoes it too.
func end(conn *sql.Conn) {
	_ = conn.Raw(func(c any) error {
		sqlite := c.(*sqlite3.SQLiteConn)
		if sqlite.AutoCommit() {
			return nil
		}
		if _, err := sqlite.Exec("rollback", nil); err != nil && !sqlite.AutoCommit() {
			return driver.ErrBadConn
		}
		return nil
	})
	conn.Close()
}
