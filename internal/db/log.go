package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// logTail is what a transaction adds to the log. It is written at the end of
// the transaction, for all the changes that share it at once: a value that is
// read costs a part of a statement.
type logTail struct {
	entries []audit.Entry
	uses    []use
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
func (l logTail) mark() (entries, uses int) { return len(l.entries), len(l.uses) }

func (l *logTail) cut(entries, uses int) {
	l.entries, l.uses = l.entries[:entries], l.uses[:uses]
}

// finish writes what the transaction recorded, and returns how the log then
// ends.
func (t *Tx) finish(end logEnd) (logEnd, error) {
	if err := t.writeUses(); err != nil {
		return logEnd{}, err
	}
	if len(t.tail.entries) == 0 {
		return end, nil
	}
	end, err := t.resume(end)
	if err != nil {
		return logEnd{}, err
	}
	for entries := range slices.Chunk(t.tail.entries, logBatch) {
		if end, err = t.append(end, entries); err != nil {
			return logEnd{}, err
		}
	}
	t.tail.entries = nil
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
		err := t.exec(`update datasette_secrets set last_used_at = ?, last_used_by = ? where id = ?`, now, orNull(u.by), u.id)
		if err != nil {
			return classify("recording the use of a secret", err)
		}
	}
	t.tail.uses = nil
	return nil
}

// logEnd is how the log ends: its tree, and the leaf of its newest entry.
type logEnd struct {
	tree audit.Tree
	leaf tlog.Hash
}

// resume returns how the log of this transaction ends. That is what is known
// from before, unless another process added to it or a transaction was lost.
func (t *Tx) resume(known logEnd) (logEnd, error) {
	size, leaf, err := t.newestLeaf()
	if err != nil {
		return logEnd{}, err
	}
	if known.tree.Size() == size && known.leaf == leaf {
		return known, nil
	}
	tree, err := audit.Resume(size, tlog.HashReaderFunc(t.logHashes))
	return logEnd{tree: tree, leaf: leaf}, err
}

// newestLeaf returns the id and the leaf of the newest entry; 0 for an empty
// log.
func (t *Tx) newestLeaf() (id int64, leaf tlog.Hash, err error) {
	var stored []byte
	err = t.queryRow("select id, leaf from datasette_secrets_log order by id desc limit 1").Scan(&id, &stored)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, tlog.Hash{}, nil
	}
	if err == nil && len(stored) != tlog.HashSize {
		err = fmt.Errorf("%w: the newest entry of the log has no leaf; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity)
	}
	if err != nil {
		return 0, tlog.Hash{}, classify("reading the end of the log", misfit(err))
	}
	return id, tlog.Hash(stored), nil
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

// logBatch is how many entries one statement writes: SQLite takes a limited
// number of parameters.
const logBatch = 64

const logColumns = "id, time, action, name, secret_id, version, actor_id, actor_proof, plugin, client, source, allowed, reason, request_id, remote, salt, leaf"

// append writes entries and the hashes that they add to the tree.
func (t *Tx) append(end logEnd, entries []audit.Entry) (logEnd, error) {
	first := audit.FirstIndex(end.tree.Size())
	var hashes []tlog.Hash
	args := make([]any, 0, len(entries)*17)
	for _, e := range entries {
		var salt [audit.SaltSize]byte
		rand.Read(salt[:]) // never fails: it ends the program instead
		e.ID = end.tree.Size() + 1
		leaf := e.Leaf(salt)
		more, err := end.tree.Append(leaf)
		if err != nil {
			return logEnd{}, fmt.Errorf("growing the tree of the log: %w", err)
		}
		end.leaf, hashes = leaf, append(hashes, more...)
		args = append(args, e.ID, e.Time.UTC().Format(audit.TimeLayout), e.Action, orNull(e.Name), numberOrNull(e.SecretID), numberOrNull(e.Version),
			orNull(e.ActorID), orNull(e.Proof), orNull(e.Plugin), orNull(e.Client), orNull(e.Source), e.Allowed, orNull(e.Reason),
			orNull(e.RequestID), orNull(e.Remote), salt[:], leaf[:])
	}
	insert := "insert into datasette_secrets_log (" + logColumns + ") values " + tuples(len(entries), 17)
	if err := t.exec(insert, args...); err != nil {
		return logEnd{}, classify("writing the log", err)
	}
	args = args[:0]
	for i := range hashes {
		args = append(args, first+int64(i), hashes[i][:])
	}
	err := t.exec("insert into datasette_secrets_log_hashes (id, hash) values "+tuples(len(hashes), 2), args...)
	return end, classify("writing the hashes of the log", err)
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

// LogPage is a run of the log as it is stored: entries, and the hashes that
// belong to them. On the last page these are all the hashes that there are.
type LogPage struct {
	Entries []audit.Stored
	Hashes  []audit.StoredHash
	Last    bool
}

// LogAfter returns the entries after the one with this id, at most limit, with
// their hashes. Before the first one is math.MinInt64: somebody may have put in
// ids that no program gives.
func (t *Tx) LogAfter(id int64, limit int) (page LogPage, err error) {
	page.Entries, err = collect(t, "reading the log", scanLog,
		"select "+logColumns+" from datasette_secrets_log where id > ? order by id limit ?", id, limit)
	if err != nil {
		return LogPage{}, err
	}
	page.Last = len(page.Entries) < limit
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if id > 0 {
		from = audit.FirstIndex(id)
	}
	if !page.Last {
		to = audit.FirstIndex(max(0, page.Entries[len(page.Entries)-1].ID)) - 1
	}
	page.Hashes, err = collect(t, "reading the hashes of the log", func(scan scanner) (h audit.StoredHash, err error) {
		err = scan(&h.Index, &h.Hash)
		return h, misfit(err)
	}, "select id, hash from datasette_secrets_log_hashes where id between ? and ? order by id limit ?", from, to, 3*limit)
	return page, err
}

// scanLog reads the columns of logColumns. An entry with something in a column
// that no program stores there comes without its salt: it then is not what its
// leaf says.
func scanLog(scan scanner) (e audit.Stored, err error) {
	var id int64
	columns := make([]any, 16)
	into := []any{&id}
	for i := range columns {
		into = append(into, &columns[i])
	}
	if err := scan(into...); err != nil {
		return e, misfit(err)
	}
	fit := true
	text := func(i int) string {
		text, ok := columns[i].(string)
		fit = fit && (ok && text != "" || columns[i] == nil)
		return text
	}
	number := func(i int) int64 {
		n, ok := columns[i].(int64)
		fit = fit && (ok && n != 0 || columns[i] == nil)
		return n
	}
	e.Leaf, _ = columns[15].([]byte)
	if e.Pruned = allNil(columns[:15]); e.Pruned {
		e.ID = id
		return e, nil
	}
	e.Entry = audit.Entry{
		Action: text(1), Name: text(2), SecretID: number(3), Version: number(4),
		ActorID: text(5), Proof: text(6), Plugin: text(7), Client: text(8), Source: text(9),
		Reason: text(11), RequestID: text(12), Remote: text(13), ID: id,
	}
	at := text(0)
	e.Time, err = time.Parse(audit.TimeLayout, at)
	fit = fit && err == nil && e.Time.Format(audit.TimeLayout) == at
	allowed, isNumber := columns[10].(int64)
	e.Allowed = allowed == 1
	fit = fit && isNumber && (allowed == 0 || allowed == 1)
	if salt, ok := columns[14].([]byte); ok && fit {
		e.Salt = salt
	}
	return e, nil
}

func allNil(columns []any) bool {
	return !slices.ContainsFunc(columns, func(c any) bool { return c != nil })
}

// LogSize is the number of entries.
func (t *Tx) LogSize() (int64, error) {
	size, _, err := t.newestLeaf()
	return size, err
}

// LogHead is the head of the log, without what this transaction records.
func (t *Tx) LogHead() (audit.Head, error) {
	end, err := t.resume(logEnd{})
	if err != nil {
		return audit.Head{}, err
	}
	root, err := end.tree.Root()
	return audit.Head{Size: end.tree.Size(), Root: root, Time: t.now.Format(audit.TimeLayout)}, err
}

// LogHashes reads hashes of the tree, for proofs.
func (t *Tx) LogHashes() tlog.HashReader { return tlog.HashReaderFunc(t.logHashes) }

// LogEntry returns one entry.
func (t *Tx) LogEntry(id int64) (audit.Stored, bool, error) {
	all, err := collect(t, "reading the log", scanLog, "select "+logColumns+" from datasette_secrets_log where id = ?", id)
	if err != nil || len(all) == 0 {
		return audit.Stored{}, false, err
	}
	return all[0], true, nil
}

// AddLogHead keeps a signed head.
func (t *Tx) AddLogHead(head audit.Head, signed string) error {
	return classify("keeping a head of the log", t.exec(`
		insert into datasette_secrets_log_heads (id, time, size, signed)
		values (1 + coalesce((select max(id) from datasette_secrets_log_heads), 0), ?, ?, ?)`,
		head.Time, head.Size, signed))
}

// LogHeadsAfter returns the signed heads after the one with this id, oldest
// first, at most limit.
func (t *Tx) LogHeadsAfter(id int64, limit int) ([]audit.StoredHead, error) {
	return collect(t, "reading the heads of the log", scanHead,
		"select id, time, size, signed from datasette_secrets_log_heads where id > ? order by id limit ?", id, limit)
}

// NewestLogHead returns the newest signed head.
func (t *Tx) NewestLogHead() (audit.StoredHead, bool, error) {
	all, err := collect(t, "reading the heads of the log", scanHead,
		"select id, time, size, signed from datasette_secrets_log_heads order by id desc limit 1")
	if err != nil || len(all) == 0 {
		return audit.StoredHead{}, false, err
	}
	return all[0], true, nil
}

// scanHead reads a head. What is not one has no signature that fits.
func scanHead(scan scanner) (h audit.StoredHead, err error) {
	var at, size, signed any
	if err := scan(&h.ID, &at, &size, &signed); err != nil {
		return h, misfit(err)
	}
	h.Time, _ = at.(string)
	h.Size, _ = size.(int64)
	h.Signed, _ = signed.(string)
	return h, nil
}

// LogKey is one row of datasette_secrets_log_keys.
type LogKey struct {
	ID        int64
	Verifying string
	Wrapped   []byte
	KeyName   string
	CreatedAt string
}

// LogKeys returns the key pairs that sign heads, the one that signs first.
func (t *Tx) LogKeys() ([]LogKey, error) {
	return collect(t, "reading the keys of the log", func(scan scanner) (k LogKey, err error) {
		err = scan(&k.ID, &k.Verifying, &k.Wrapped, &k.KeyName, &k.CreatedAt)
		return k, misfit(err)
	}, "select id, verifying, wrapped, encryption_key_name, created_at from datasette_secrets_log_keys order by id desc")
}

// AddLogKey stores a key pair in front of the others. It takes Verifying,
// Wrapped and KeyName.
func (t *Tx) AddLogKey(k LogKey) error {
	return classify("storing the key of the log", t.exec(`
		insert into datasette_secrets_log_keys (verifying, wrapped, encryption_key_name, created_at) values (?, ?, ?, ?)`,
		k.Verifying, k.Wrapped, k.KeyName, t.now.Format(time.DateTime)))
}

// RewrapLogKey stores a signing key under another encryption key.
func (t *Tx) RewrapLogKey(id int64, wrapped []byte, keyName string) error {
	return classify("storing the key of the log", t.exec(`
		update datasette_secrets_log_keys set wrapped = ?, encryption_key_name = ? where id = ?`, wrapped, keyName, id))
}

// firstReadable returns the smallest id of an entry that still has its readable
// fields. Pruned ones are always the oldest.
func (t *Tx) firstReadable(size int64) (int64, error) {
	from, to := int64(1), size+1
	for from < to {
		middle := from + (to-from)/2
		var readable bool
		err := t.queryRow("select action is not null from datasette_secrets_log where id = ?", middle).Scan(&readable)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: entry %d of the log is gone; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity, middle)
		}
		if err != nil {
			return 0, classify("looking for the oldest entry", err)
		}
		if readable {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from, nil
}

// Prunable returns the entries that a limit leaves to prune: from the first
// readable one up to, but without, end. keep is how many of the newest stay; 0
// is any number. before is the time from which on they stay; the zero time is
// any.
func (t *Tx) Prunable(keep int64, before time.Time) (first, end int64, err error) {
	size, err := t.LogSize()
	if err != nil || size == 0 {
		return 0, 0, err
	}
	if first, err = t.firstReadable(size); err != nil {
		return 0, 0, err
	}
	end = first
	if keep > 0 {
		end = max(end, size-keep+1)
	}
	if !before.IsZero() {
		younger, err := t.firstSince(first, size, before)
		if err != nil {
			return 0, 0, err
		}
		end = max(end, younger)
	}
	return first, end, nil
}

// firstSince returns the id of the first readable entry that is not older than
// a time; ids grow with time.
func (t *Tx) firstSince(first, size int64, since time.Time) (int64, error) {
	from, to := first, size+1
	text := since.UTC().Format(audit.TimeLayout)
	for from < to {
		middle := from + (to-from)/2
		var older bool
		err := t.queryRow("select time < ? from datasette_secrets_log where id = ?", text, middle).Scan(&older)
		if err != nil {
			return 0, classify("looking for old entries", misfit(err))
		}
		if older {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, nil
}

// Prune removes the readable fields of the entries from first up to, but
// without, end. What is left proves the others.
func (t *Tx) Prune(first, end int64) error {
	return classify("pruning the log", t.exec(`
		update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null,
			actor_id = null, actor_proof = null, plugin = null, client = null, source = null, allowed = null,
			reason = null, request_id = null, remote = null, salt = null
		where id >= ? and id < ?`, first, end))
}

// Stored is where a row of datasette_secrets is in its table.
type Stored struct {
	ID      int64
	Name    string
	Version int64
	Bound   bool // this program stored or adopted it
}

// EachStored calls fn with every row of datasette_secrets, whatever is in it,
// read in pages.
func (d *DB) EachStored(ctx context.Context, fn func(Stored) error) error {
	const page = 1000
	for id, n := int64(math.MinInt64), page; n == page; {
		err := d.View(ctx, func(t *Tx) error {
			rows, err := collect(t, "reading the secrets", scanStored, `
				select s.id, s.name, s.version, b.mac is not null
				from datasette_secrets s left join datasette_secrets_bindings b on b.secret_id = s.id
				where s.id > ? order by s.id limit ?`, id, page)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if err := fn(row); err != nil {
					return err
				}
				id = row.ID
			}
			n = len(rows)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func scanStored(scan scanner) (s Stored, err error) {
	var name, version any
	if err := scan(&s.ID, &name, &version, &s.Bound); err != nil {
		return s, misfit(err)
	}
	s.Name, _ = name.(string)
	s.Version, _ = version.(int64)
	return s, nil
}

// HasRow reports whether there is a row with this id.
func (t *Tx) HasRow(id int64) (has bool, err error) {
	err = t.queryRow("select exists (select 1 from datasette_secrets where id = ?)", id).Scan(&has)
	return has, classify("looking for a secret", err)
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

// ReadLog calls fn with one page of the log after the other, each read in a
// transaction of its own, so that no other process waits for a long log.
func (d *DB) ReadLog(ctx context.Context, limit int, fn func(LogPage) error) error {
	for id, last := int64(math.MinInt64), false; !last; {
		var page LogPage
		err := d.View(ctx, func(t *Tx) (err error) {
			page, err = t.LogAfter(id, limit)
			return err
		})
		if err != nil {
			return err
		}
		if last = page.Last; !last {
			id = page.Entries[len(page.Entries)-1].ID
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}
