package db

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// LogAfter returns the entries after the one with this id, at most limit, with
// their hashes; last is true where these are all that there are. Before the first
// one is math.MinInt64: somebody may have put in ids that no program gives.
func (t *Tx) LogAfter(id int64, limit int) (page audit.Page, last bool, err error) {
	page.Entries, err = collect(t, "reading the log", scanLog,
		"select "+logColumns()+" from datasette_secrets_log where id > ? order by id limit ?", id, limit)
	if err != nil {
		return audit.Page{}, false, err
	}
	last = len(page.Entries) < limit
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if id > 0 {
		from = audit.FirstIndex(id)
	}
	if !last {
		to = audit.FirstIndex(max(0, page.Entries[len(page.Entries)-1].ID)) - 1
	}
	page.Hashes, err = collect(t, "reading the hashes of the log", func(scan scanner) (h audit.StoredHash, err error) {
		err = scan(&h.Index, &h.Hash)
		return h, misfit(err)
	}, "select id, hash from datasette_secrets_log_hashes where id between ? and ? order by id limit ?", from, to, 3*limit)
	return page, last, err
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

// LogEntry returns one entry.
func (t *Tx) LogEntry(id int64) (audit.Stored, bool, error) {
	all, err := collect(t, "reading the log", scanLog, "select "+logColumns()+" from datasette_secrets_log where id = ?", id)
	if err != nil || len(all) == 0 {
		return audit.Stored{}, false, err
	}
	return all[0], true, nil
}

// LogHashes reads hashes of the tree, for proofs.
func (t *Tx) LogHashes() tlog.HashReader { return tlog.HashReaderFunc(t.logHashes) }

// ReadLog calls fn with one page of the log after the other, each read in a
// transaction of its own, so that no other process waits for a long log.
func (d *DB) ReadLog(ctx context.Context, limit int, fn func(audit.Page) error) error {
	for id, last := int64(math.MinInt64), false; !last; {
		var page audit.Page
		err := d.View(ctx, func(t *Tx) (err error) {
			page, last, err = t.LogAfter(id, limit)
			return err
		})
		if err != nil {
			return err
		}
		if !last {
			id = page.Entries[len(page.Entries)-1].ID
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
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
