package db

import (
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// logTail is what a transaction adds to the log. It is written at the end of
// the transaction, for all the changes that share it at once: a value that is
// read costs a part of a statement. Its memory serves one transaction after the
// other.
type logTail struct {
	entries []audit.Entry
	uses    []use

	signed bool // a head is among it

	values []driver.NamedValue // of the statements that write it
	block  blockTail           // of this transaction and those before
}

// maxTail is how many entries a tail keeps memory for.
const maxTail = 1024

// empty forgets everything, for the next transaction.
func (l *logTail) empty() {
	if cap(l.entries) > maxTail {
		*l = logTail{block: l.block}
		return
	}
	clear(l.entries)
	clear(l.uses)
	clear(l.values[:cap(l.values)]) // the last statement had fewer than those before
	l.entries, l.uses, l.signed, l.values = l.entries[:0], l.uses[:0], false, l.values[:0]
}

// use is the last use of a row in a transaction.
type use struct {
	id int64
	by string
}

// Record adds an entry to the log, in the transaction that does what it tells
// of. The entry's ID is given by the log, and its time is that of the
// transaction.
func (t *Tx) Record(e audit.Entry) {
	e.Time = t.now
	t.tail.entries = append(t.tail.entries, e)
}

// Touch records that one row was used now, on behalf of by.
func (t *Tx) Touch(id int64, by string) {
	t.tail.uses = append(t.tail.uses, use{id, by})
}

// mark is where the tail of a transaction ends, to go back to.
func (l *logTail) mark() (entries, uses int) { return len(l.entries), len(l.uses) }

func (l *logTail) cut(entries, uses int) {
	l.entries, l.uses = l.entries[:entries], l.uses[:uses]
}

// finish writes what the transaction recorded, and returns how the log then
// ends.
func (t *Tx) finish(end logEnd) (logEnd, error) {
	if err := t.writeUses(); err != nil {
		return logEnd{}, err
	}
	if len(t.tail.entries) == 0 && !t.tail.signed {
		return end, nil
	}
	before, err := t.resume(end)
	if err != nil {
		return logEnd{}, err
	}
	end = before
	for entries := range slices.Chunk(t.tail.entries, maxTuples) { // so that memory is bounded
		if end, err = t.append(end, entries); err != nil {
			return logEnd{}, err
		}
	}
	if err := t.finishBlocks(before, end); err != nil {
		return logEnd{}, err
	}
	if t.tail.signed {
		return t.storeHashes(end)
	}
	return end, nil
}

// writeUses updates each used row once.
func (t *Tx) writeUses() error {
	now := t.now.Format(time.DateTime)
	for i, u := range t.tail.uses {
		again := func(later use) bool { return later.id == u.id }
		if slices.ContainsFunc(t.tail.uses[i+1:], again) {
			continue
		}
		last := lastUse{now, u.by}
		if t.known.used[u.id] == last {
			continue
		}
		err := t.run(`update datasette_secrets set last_used_at = ?, last_used_by = ? where id = ?`, now, orNull(u.by), u.id)
		if err != nil {
			return classify("recording the use of a secret", err)
		}
		t.known.learnUse(u.id, last)
	}
	return nil
}

// logEnd is how the log ends.
type logEnd struct {
	tree   audit.Tree
	leaf   tlog.Hash   // of the newest entry
	hashes []tlog.Hash // of the newest entries, which are not stored yet
	sure   bool        // nobody has added anything since
}

// resume returns how the log of this transaction ends. That is what is known
// from before, unless another process added to it or a transaction was lost.
func (t *Tx) resume(known logEnd) (logEnd, error) {
	if known.sure {
		return known, nil
	}
	size, leaf, err := t.newestLeaf()
	if err != nil {
		return logEnd{}, err
	}
	if known.tree.Size() == size && known.leaf == leaf {
		known.sure = true
		return known, nil
	}
	stored, err := t.hashedEntries()
	if err != nil {
		return logEnd{}, err
	}
	stored = min(stored, size)
	if size-stored >= audit.StoredWith {
		return logEnd{}, fmt.Errorf("%w: the hashes of entry %d of the log are gone; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity, stored+1)
	}
	end := logEnd{leaf: leaf, sure: true}
	if end.tree, err = audit.Resume(stored, tlog.HashReaderFunc(t.logHashes)); err != nil {
		return logEnd{}, err
	}
	leaves, err := collect(t, "reading the end of the log", scanLeaf, "select leaf from datasette_secrets_log where id > ? order by id", stored)
	for _, leaf := range leaves {
		end.hashes = end.tree.Append(end.hashes, leaf)
	}
	if err == nil && end.tree.Size() != size {
		err = fmt.Errorf("%w: an entry of the log is gone; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity)
	}
	return end, err
}

// hashedEntries is how many entries have their hashes stored.
func (t *Tx) hashedEntries() (n int64, err error) {
	var hashes int64
	if err := t.queryRow("select coalesce(max(id) + 1, 0) from datasette_secrets_log_hashes").Scan(&hashes); err != nil {
		return 0, classify("reading the hashes of the log", misfit(err))
	}
	for n = max(0, hashes/2); audit.FirstIndex(n+1) <= hashes; n++ { // an entry has two, but for some of the last
	}
	return n, nil
}

func scanLeaf(scan scanner) (tlog.Hash, error) {
	var stored []byte
	if err := scan(&stored); err != nil {
		return tlog.Hash{}, misfit(err)
	}
	if len(stored) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%w: an entry of the log has no leaf; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity)
	}
	return tlog.Hash(stored), nil
}

// newestLeaf returns the id and the leaf of the newest entry; 0 for an empty
// log.
func (t *Tx) newestLeaf() (id int64, leaf tlog.Hash, err error) {
	row := t.queryRow("select leaf, id from datasette_secrets_log order by id desc limit 1")
	leaf, err = scanLeaf(func(into ...any) error { return row.Scan(append(into, &id)...) })
	if errors.Is(err, sql.ErrNoRows) {
		return 0, tlog.Hash{}, nil
	}
	return id, leaf, classify("reading the end of the log", err)
}

// logHashes reads hashes of the tree by their index.
func (t *Tx) logHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		var stored []byte
		err := t.queryRow("select hash from datasette_secrets_log_hashes where id = ?", index).Scan(&stored)
		if err == nil && len(stored) == tlog.HashSize {
			hashes[i] = tlog.Hash(stored)
			continue
		}
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: hash %d of the log is gone; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity, index)
		}
		return nil, classify("reading the hashes of the log", misfit(err))
	}
	return hashes, nil
}

// logColumns are the columns of the log, as a statement lists them.
func logColumns() string { return strings.Join(LogColumns(), ", ") }

// append writes entries, and the hashes that they add to the tree if it is time
// for these.
func (t *Tx) append(end logEnd, entries []audit.Entry) (logEnd, error) {
	before := end.tree.Size()
	width := len(LogColumns())
	var at driver.Value = t.now.Format(audit.TimeLayout)
	values := t.tail.values[:0]
	// The text of a column, by its place in LogColumns. Entries that follow one another
	// have many texts in common.
	text := func(column int, text string) driver.Value {
		if above := len(values) - width + column; above >= 0 && values[above].Value == driver.Value(text) {
			return values[above].Value
		}
		return orNull(text)
	}
	salts, leaves := make([]byte, audit.SaltSize*len(entries)), make([]tlog.Hash, len(entries))
	rand.Read(salts) // never fails: it ends the program instead
	for i, e := range entries {
		salt := salts[audit.SaltSize*i:][:audit.SaltSize:audit.SaltSize]
		e.ID = end.tree.Size() + 1
		leaves[i] = e.Leaf([audit.SaltSize]byte(salt))
		end.leaf = leaves[i]
		end.hashes = end.tree.Append(end.hashes, end.leaf)
		values = appendRow(values, e.ID, at, e.Action, text(3, e.Name), numberOrNull(e.SecretID), numberOrNull(e.Version),
			text(6, e.ActorID), text(7, e.Proof), text(8, e.Plugin), text(9, e.Client), text(10, e.Source), e.Allowed, text(12, e.Reason),
			orNull(e.RequestID), text(14, e.Remote), salt, leaves[i][:])
	}
	t.tail.values = values
	if err := t.insert("insert into datasette_secrets_log ("+logColumns()+") values ", width, values); err != nil {
		return logEnd{}, classify("writing the log", err)
	}
	if before/audit.StoredWith == end.tree.Size()/audit.StoredWith {
		return end, nil
	}
	return t.storeHashes(end)
}

// storeHashes writes the hashes that are not stored yet.
func (t *Tx) storeHashes(end logEnd) (logEnd, error) {
	first := audit.FirstIndex(end.tree.Size()) - int64(len(end.hashes))
	values := t.tail.values[:0]
	for i := range end.hashes {
		values = appendRow(values, first+int64(i), end.hashes[i][:])
	}
	t.tail.values = values
	err := t.insert("insert into datasette_secrets_log_hashes (id, hash) values ", 2, values)
	end.hashes = nil // not their memory: if this is undone, it is still needed
	return end, classify("writing the hashes of the log", err)
}

// appendRow adds the columns of one row.
func appendRow(values []driver.NamedValue, columns ...driver.Value) []driver.NamedValue {
	for _, column := range columns {
		values = append(values, driver.NamedValue{Value: column})
	}
	return values
}

// maxTuples is how many rows one statement inserts.
const maxTuples = 64

// insert adds rows of so many columns each, all in values. The statements that
// follow into have 1, 2, 4 … rows: of these there are so few that all stay
// prepared.
func (t *Tx) insert(into string, width int, values []driver.NamedValue) error {
	for len(values) > 0 {
		rows := min(maxTuples, 1<<(bits.Len(uint(len(values)/width))-1))
		some := values[:rows*width]
		for i := range some {
			some[i].Ordinal = i + 1
		}
		if err := step(t.conn, into+tuples(rows, width), some); err != nil {
			return err
		}
		values = values[len(some):]
	}
	return nil
}

// tuples is n times "(?, …)", with this many parameters each.
func tuples(n, width int) string {
	one := "(?" + strings.Repeat(",?", width-1) + ")"
	return one + strings.Repeat(","+one, n-1)
}

func numberOrNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// beginLog makes the tables of the log, and its first entry: which rows were
// there before it.
func beginLog(t *Tx) error {
	if err := makeTables(t); err != nil {
		return err
	}
	size, err := t.LogSize()
	if err != nil || size > 0 {
		return err
	}
	var last int64
	if err := t.queryRow("select coalesce(max(id), 0) from datasette_secrets").Scan(&last); err != nil {
		return classify("looking for the newest secret", misfit(err))
	}
	t.Record(audit.Entry{Action: audit.Begin, SecretID: last, Allowed: true, Reason: "the log begins"})
	return nil
}
