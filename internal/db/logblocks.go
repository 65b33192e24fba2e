package db

import (
	"context"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// blockSize is how many entries of the log are a block. Files depend on it.
const blockSize = 256

// blockOf is the block of an entry; ids begin with 1.
func blockOf(id int64) int64 { return (id - 1) / blockSize }

// blockSpan are the entries of a block.
func blockSpan(block int64) idSpan {
	lowest := block*blockSize + 1
	return idSpan{lowest, lowest + min(blockSize-1, math.MaxInt64-lowest)}
}

// The kinds of rows of the table of blocks; most are columns of the log.
const (
	kindAll     = "all" // one of every block
	kindName    = "name"
	kindActor   = "actor_id"
	kindPlugin  = "plugin"
	kindClient  = "client"
	kindAction  = "action"
	kindRefused = "refused"
)

// blockText is what stands in some entries of a block.
type blockText struct{ kind, text string }

// blockTail counts what stands in the entries at the end of the log while they
// are written. To read them all again once their block is whole takes longer than
// all the rest of it.
type blockTail struct {
	from int64 // the entries after this one are counted
	size int64 // up to this one
	leaf tlog.Hash
	uses map[blockText]int64
}

// begin makes the entries after from be counted, and no others.
func (b *blockTail) begin(from int64) {
	if b.uses == nil {
		b.uses = map[blockText]int64{}
	}
	clear(b.uses)
	b.from = from
}

// forget makes the next transaction begin.
func (b *blockTail) forget() { b.size = -1 }

// count adds one entry, as rowsOfBlocks does.
func (b *blockTail) count(e audit.Entry) {
	var used int64
	if e.Action == audit.Get && e.Allowed {
		used = 1
	}
	b.uses[blockText{kindAll, ""}] += used
	for _, in := range [...]blockText{
		{kindName, e.Name}, {kindActor, e.ActorID}, {kindPlugin, e.Plugin}, {kindClient, e.Client},
	} {
		if in.text != "" {
			b.uses[in] += used
		}
	}
	if e.Action != audit.Get {
		b.uses[blockText{kindAction, e.Action}] += 0
	}
	if !e.Allowed {
		b.uses[blockText{kindRefused, ""}] += 0
	}
}

// finishBlocks counts the entries that the transaction added to the log between
// before and after, and writes the blocks that they complete.
func (t *Tx) finishBlocks(before, after logEnd) error {
	tail := &t.tail.block
	id := before.tree.Size()
	if tail.uses == nil || tail.size != id || tail.leaf != before.leaf { // another process added to the log, or a transaction was lost
		tail.begin(id)
	}
	tail.forget() // until all of this is counted
	for _, e := range t.tail.entries {
		tail.count(e)
		if id++; id%blockSize != 0 {
			continue
		}
		if err := t.finishBlock(tail, blockOf(id)); err != nil {
			return err
		}
		tail.begin(id)
	}
	tail.size, tail.leaf = id, after.leaf
	return nil
}

// finishBlock writes a block that became whole: what was counted, or what its
// entries say if somebody else wrote some of them. Rows that somebody put there
// before do not stop it.
func (t *Tx) finishBlock(tail *blockTail, block int64) error {
	if tail.from != block*blockSize {
		return t.writeBlocks(block, block+1)
	}
	values := t.tail.values[:0]
	for in, uses := range tail.uses {
		values = appendRow(values, block, in.kind, in.text, uses)
	}
	t.tail.values = values
	err := t.insert("insert or replace into datasette_secrets_log_blocks (block, kind, text, uses) values ", 4, values)
	return classify("writing a block of the log", err)
}

// rowsOfBlocks is what the table of blocks has to say of the blocks from ?1 up to,
// but without, ?2, by their entries; ?3 is blockSize. A block of which all was
// pruned has one row, of the kind "all".
const rowsOfBlocks = `
	with entry as materialized (
		select (id - 1) / ?3 as block, name, actor_id, plugin, client, action, allowed,
			count(*) filter (where action = 'get' and allowed = 1) as used
		from datasette_secrets_log where id > ?1 * ?3 and id <= ?2 * ?3 group by 1, 2, 3, 4, 5, 6, 7)
	select block, 'all' as kind, '' as text, sum(used) as uses from entry group by block
	union all select block, 'name', name, sum(used) from entry where name is not null group by block, name
	union all select block, 'actor_id', actor_id, sum(used) from entry where actor_id is not null group by block, actor_id
	union all select block, 'plugin', plugin, sum(used) from entry where plugin is not null group by block, plugin
	union all select block, 'client', client, sum(used) from entry where client is not null group by block, client
	union all select block, 'action', action, 0 from entry where action <> 'get' group by block, action
	union all select block, 'refused', '', 0 from entry where allowed = 0 group by block`

// writeBlocks writes what the entries say of the blocks from one up to, but
// without, another, in the place of what the table had of them.
func (t *Tx) writeBlocks(from, end int64) error {
	if from >= end {
		return nil
	}
	err := t.exec("delete from datasette_secrets_log_blocks where block >= ? and block < ?", from, end)
	if err == nil {
		err = t.exec("insert into datasette_secrets_log_blocks (block, kind, text, uses)"+rowsOfBlocks, from, end, int64(blockSize))
	}
	return classify("writing the blocks of the log", err)
}

// hasBlocks reports whether the file has the table of blocks.
func (t *Tx) hasBlocks() (has bool, err error) {
	err = t.queryRow("select exists (select 1 from sqlite_master where type = 'table' and name = 'datasette_secrets_log_blocks')").Scan(&has)
	return has, classify("reading the schema", err)
}

// wholeBlocks is how many blocks have all their entries.
func (t *Tx) wholeBlocks() (whole int64, err error) {
	err = t.queryRow("select coalesce(max(id), 0) from datasette_secrets_log").Scan(&whole)
	return max(whole, 0) / blockSize, classify("reading the end of the log", misfit(err))
}

// fillBlocks writes the blocks that are whole and not in the table: those of
// entries from before there was one, and those that somebody deleted. It does so
// in small steps, and from the oldest on, so that whoever reads meanwhile takes
// the others for the end of the log.
func (d *DB) fillBlocks(ctx context.Context) error {
	const step = 64
	for from, more := int64(0), true; more; {
		err := d.Update(ctx, func(t *Tx) error {
			whole, err := t.wholeBlocks()
			if err != nil {
				return err
			}
			missing, err := t.missingBlock(from, whole)
			if more = missing < whole; err != nil || !more {
				return err
			}
			from = min(missing+step, whole)
			return t.writeBlocks(missing, from)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// missingBlock is the first block from one up to, but without, another that the
// table does not have; end if it has them all. It begins with one that has an
// entry: somebody may have put in ids far above the others.
func (t *Tx) missingBlock(from, end int64) (block int64, err error) {
	err = t.queryRow(`
		with recursive at(block) as (
			select (min(id) - 1) / ?3 from datasette_secrets_log where id > ?1 * ?3
			union all select block + 1 from at where block + 1 < ?2)
		select coalesce((
			select block from at where block < ?2 and not exists (
				select 1 from datasette_secrets_log_blocks b where b.block = at.block and kind = 'all' and text = '')
			limit 1), ?2)`, from, end, int64(blockSize)).Scan(&block)
	return block, classify("looking for blocks of the log", misfit(err))
}
