package db

import (
	"context"
	"database/sql/driver"
	"math"
)

// LogLooking is OlderLog and NewerLog with another limit on how many entries are
// looked at.
func (t *Tx) LogLooking(f LogFilter, from int64, limit int, up bool, most int64) (LogFound, error) {
	span := idSpan{1, from - 1}
	if up {
		span = idSpan{from + 1, math.MaxInt64}
	}
	return t.log(f, span, limit, up, most)
}

// FillBlocks is what Open does with the blocks that the table does not have.
func (d *DB) FillBlocks(ctx context.Context) error { return d.fillBlocks(ctx) }

// LogPlan is how SQLite finds what a filter means: the blocks, and their entries.
func (t *Tx) LogPlan(f LogFilter, up bool) (plan []string, err error) {
	if texts := f.texts(); len(texts) > 0 {
		query, args := blocksQuery(texts, 0, 100, up, 10)
		if plan, err = t.explain(query, args...); err != nil {
			return nil, err
		}
	}
	query, args := f.query(idSpan{1, 1000}, 10, up)
	more, err := t.explain(query, args...)
	return append(plan, more...), err
}

// explain is the plan of a statement.
func (t *Tx) explain(query string, args ...any) ([]string, error) {
	return collect(t, "explaining", func(scan scanner) (detail string, err error) {
		var id, parent, unused int
		return detail, scan(&id, &parent, &unused, &detail)
	}, "explain query plan "+query, args...)
}

// LoseConnection makes the next transaction that writes begin on another
// connection.
func (d *DB) LoseConnection() error {
	conn, err := d.write.Conn(context.Background())
	if err != nil {
		return err
	}
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); err != driver.ErrBadConn {
		return err
	}
	return nil
}
