package db

import (
	"context"
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

// LogPlan is how SQLite finds what a filter means.
func (t *Tx) LogPlan(f LogFilter, up bool) (plan []string, err error) {
	span, err := t.logSpan(f, idSpan{1, math.MaxInt64})
	if err != nil {
		return nil, err
	}
	index, near, err := t.mostSelective(f, span, up, maxLooked)
	if err != nil {
		return nil, err
	}
	query, args := f.query(index, near, 10, up)
	return collect(t, "explaining", func(scan scanner) (detail string, err error) {
		var id, parent, unused int
		return detail, scan(&id, &parent, &unused, &detail)
	}, "explain query plan "+query, args...)
}
