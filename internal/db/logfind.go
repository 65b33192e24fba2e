package db

// maxBlocks is of how many blocks one question asks what they have.
const maxBlocks = 20_000

// nearBlocks returns the blocks that may have what a filter means, at most so many
// from one end of a span, and the part of the span in which there are no others.
func (t *Tx) nearBlocks(f LogFilter, span idSpan, up bool, most int) (near idSpan, blocks []int64, err error) {
	first, last := blockOf(span.lowest), blockOf(span.highest)
	if up {
		last = min(last, first+maxBlocks-1)
	} else {
		first = max(first, last-maxBlocks+1)
	}
	blocks, err = t.blocksFor(f, first, last, up, most+1)
	if err != nil {
		return idSpan{}, nil, err
	}
	switch {
	case len(blocks) <= most:
	case up:
		last = blocks[most] - 1
	default:
		first = blocks[most] + 1
	}
	near = idSpan{max(span.lowest, blockSpan(first).lowest), min(span.highest, blockSpan(last).highest)}
	return near, blocks[:min(len(blocks), most)], nil
}

// blocksFor returns the first limit blocks from first to last, or back, that may
// have what a filter means. Of those at the end of the log nothing is told yet.
func (t *Tx) blocksFor(f LogFilter, first, last int64, up bool, limit int) (blocks []int64, err error) {
	texts, told := f.texts(), first
	if len(texts) > 0 {
		if told, err = t.toldBlocks(); err != nil {
			return nil, err
		}
	}
	told = max(first, min(told, last+1))
	if up {
		blocks, err = t.blocksWith(texts, first, told-1, up, limit)
		for b := told; b <= last && len(blocks) < limit; b++ {
			blocks = append(blocks, b)
		}
		return blocks, err
	}
	for b := last; b >= told && len(blocks) < limit; b-- {
		blocks = append(blocks, b)
	}
	older, err := t.blocksWith(texts, first, told-1, up, limit-len(blocks))
	return append(blocks, older...), err
}

// toldBlocks is the block up to, but without, which the table tells what blocks
// have: 0 if somebody only reads a file that has no such table yet. Rows about
// entries that are not there tell nothing.
func (t *Tx) toldBlocks() (end int64, err error) {
	has, err := t.hasBlocks()
	if err != nil || !has {
		return 0, err
	}
	err = t.queryRow(`
		select coalesce(cast(max(block) as integer) + 1, 0) from datasette_secrets_log_blocks
		where block >= 0 and block < (select max(id) / ? from datasette_secrets_log)`, blockSize).Scan(&end)
	return end, classify("reading the blocks of the log", misfit(err))
}

// eachBlock is every block from ?1 to ?2, in steps of ?3. Each one is then asked
// for by the primary key.
const eachBlock = `
	with recursive at(block) as (select ?1 union all select block + ?3 from at where block <> ?2)`

// blocksWith returns the first limit blocks from first to last, or back, that have
// all of some texts.
func (t *Tx) blocksWith(texts []blockText, first, last int64, up bool, limit int) ([]int64, error) {
	if first > last || limit <= 0 {
		return nil, nil
	}
	query, args := blocksQuery(texts, first, last, up, limit)
	return collect(t, "reading the blocks of the log", scanBlock, query, args...)
}

func blocksQuery(texts []blockText, first, last int64, up bool, limit int) (query string, args []any) {
	query, args = eachBlock+" select block from at where true", []any{first, last, 1}
	if !up {
		args = []any{last, first, -1}
	}
	for _, in := range texts {
		query += " and (select 1 from datasette_secrets_log_blocks b where b.block = at.block and kind = ? and text = ?)"
		args = append(args, in.kind, in.text)
	}
	return query + " limit ?", append(args, limit)
}

// usesByBlocks counts the uses of a secret in the blocks from first to last.
func (t *Tx) usesByBlocks(name string, first, last int64) (count int64, err error) {
	err = t.queryRow(eachBlock+`
		select cast(total(uses) as integer) from at
		cross join datasette_secrets_log_blocks b on b.block = at.block and kind = 'name' and text = ?`,
		first, last, 1, name).Scan(&count)
	return count, classify("counting the uses of a secret", misfit(err))
}
