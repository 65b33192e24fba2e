package db

import (
	"context"
	"math"
)

// LogSpan are entries of the log that follow each other.
type LogSpan struct{ First, Last int64 }

// CheckBlocks compares the table of blocks with the entries. It returns those
// entries of which the table tells something else than they do, and whether it
// tells of others, that are not there or whose block is not whole. Each step of it
// is a transaction of its own, in which the log cannot grow.
func (d *DB) CheckBlocks(ctx context.Context) (wrong []LogSpan, others bool, err error) {
	const step = 16
	var blocks []int64
	for from, more := int64(0), true; more; from += step {
		err := d.View(ctx, func(t *Tx) error {
			has, err := t.hasBlocks()
			if more = has; err != nil || !has {
				return err
			}
			whole, err := t.wholeBlocks()
			if err != nil {
				return err
			}
			some, err := t.wrongBlocks(from, min(from+step, whole))
			if blocks = append(blocks, some...); err != nil {
				return err
			}
			if more = from+step < whole; more {
				return nil
			}
			others, err = t.hasOtherBlocks(whole)
			return err
		})
		if err != nil {
			return nil, false, err
		}
	}
	for _, span := range runs(blocks, idSpan{1, math.MaxInt64}) {
		wrong = append(wrong, LogSpan{span.lowest, span.highest})
	}
	return wrong, others, nil
}

// wrongBlocks are the blocks from one up to, but without, another of which the
// table tells something else than their entries do.
func (t *Tx) wrongBlocks(from, end int64) ([]int64, error) {
	return collect(t, "comparing the blocks of the log", scanBlock, `
		with said as materialized (`+rowsOfBlocks+`),
		told as (select block, kind, text, uses from datasette_secrets_log_blocks where block >= ?1 and block < ?2)
		select cast(block as integer) from (select * from said except select * from told)
		union select cast(block as integer) from (select * from told except select * from said)
		order by 1`, from, end, int64(blockSize))
}

// hasOtherBlocks reports whether the table tells of a block that is none of the
// first so many.
func (t *Tx) hasOtherBlocks(whole int64) (has bool, err error) {
	err = t.queryRow(`
		select exists (select 1 from datasette_secrets_log_blocks where block < 0)
			or exists (select 1 from datasette_secrets_log_blocks where block >= ?)`, whole).Scan(&has)
	return has, classify("comparing the blocks of the log", err)
}

// runs are the entries of blocks that lie within a span; those of neighbours are
// one run.
func runs(blocks []int64, within idSpan) (all []idSpan) {
	for i, b := range blocks {
		span := blockSpan(b)
		span = idSpan{max(span.lowest, within.lowest), min(span.highest, within.highest)}
		switch {
		case i > 0 && b == blocks[i-1]+1:
			all[len(all)-1].highest = span.highest
		case i > 0 && b == blocks[i-1]-1:
			all[len(all)-1].lowest = span.lowest
		default:
			all = append(all, span)
		}
	}
	return all
}

func scanBlock(scan scanner) (block int64, err error) {
	err = scan(&block)
	return block, misfit(err)
}
