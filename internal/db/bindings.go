package db

import (
	"database/sql"
	"errors"
)

// Mark is what this program last knew of a name: its newest version, and a
// code of authentication over both.
type Mark struct {
	Name    string
	Version int64
	Code    []byte
}

// Mark returns the mark of a name; found is false when it has none.
func (t *Tx) Mark(name string) (mark Mark, found bool, err error) {
	mark.Name = name
	err = t.queryRow("select version, mac from datasette_secrets_marks where name = ?", name).Scan(&mark.Version, &mark.Code)
	if errors.Is(err, sql.ErrNoRows) {
		return Mark{}, false, nil
	}
	return mark, err == nil, classify("reading the mark of a secret", misfit(err))
}

// SetMark stores the mark of a name in the place of the one before.
func (t *Tx) SetMark(mark Mark) error {
	return classify("storing the mark of a secret", t.exec(`
		insert into datasette_secrets_marks (name, version, mac) values (?, ?, ?)
		on conflict (name) do update set version = excluded.version, mac = excluded.mac`,
		mark.Name, mark.Version, mark.Code))
}

// SetBinding stores the binding of a row in the place of the one before.
func (t *Tx) SetBinding(id int64, binding []byte) error {
	return classify("storing the binding of a secret", t.exec(`
		insert into datasette_secrets_bindings (secret_id, mac) values (?, ?)
		on conflict (secret_id) do update set mac = excluded.mac`, id, binding))
}

// AddBinding stores the binding of a row that has none, provided that the row
// still has this token. Somebody else may have been quicker.
func (t *Tx) AddBinding(row Row, binding []byte) error {
	return classify("storing the binding of a secret", t.exec(`
		insert into datasette_secrets_bindings (secret_id, mac)
		select id, ? from datasette_secrets where id = ? and cast(encrypted as blob) = ?
		on conflict (secret_id) do nothing`, binding, row.ID, row.Encrypted))
}

// NamesAfter returns the names that come after one in order, of rows and of
// marks, at most limit.
func (t *Tx) NamesAfter(name string, limit int) ([]string, error) {
	return collect(t, "listing the names of secrets", func(scan scanner) (text string, err error) {
		err = scan(&text)
		return text, err
	}, `
		select name from datasette_secrets where name > ? and typeof(name) = 'text'
		union select name from datasette_secrets_marks where name > ? and typeof(name) = 'text'
		order by name limit ?`, name, name, limit)
}

// HasTwin reports whether the token of this row stands in another place too:
// under another name, or in another version. No program encrypts to the same
// token twice.
func (t *Tx) HasTwin(row Row) (bool, error) {
	var found bool
	// The length is compared first, because it costs no reading of the token.
	err := t.queryRow(`
		select exists(select 1 from datasette_secrets
		where length(encrypted) = ? and cast(encrypted as blob) = ? and not (name = ? and version = ?))`,
		len(row.Encrypted), row.Encrypted, row.Name, row.Version).Scan(&found)
	return found, classify("looking for copies of a secret", err)
}

// Twins returns the ids of all rows whose token stands in another place too.
func (t *Tx) Twins() (map[int64]bool, error) {
	ids, err := collect(t, "looking for copies of secrets", scanID, `
		select id from datasette_secrets where cast(encrypted as blob) in
		(select cast(encrypted as blob) from datasette_secrets group by 1
		having count(distinct version || ' ' || name) > 1)`)
	twins := map[int64]bool{}
	for _, id := range ids {
		twins[id] = true
	}
	return twins, err
}

func scanID(scan scanner) (id int64, err error) {
	err = scan(&id)
	return id, err
}

// Unbound returns rows without a binding, with their tokens, in the order of
// their ids above after, at most limit, and fewer when their tokens are larger
// than size bytes together.
func (t *Tx) Unbound(after int64, limit, size int) ([]Row, error) {
	return t.page("looking for secrets of other programs", size, rowsOf(`where b.mac is null and s.id > ? order by s.id limit ?`), after, limit)
}

// History calls fn with the newest versions of a name and their tokens, newest
// first, at most limit. It holds one token at a time.
func (t *Tx) History(name string, limit int, fn func(Row) error) error {
	return each(t, "listing the versions of a secret", scanAny, fn, rowsOf(`where s.name = ? order by s.version desc limit ?`), name, limit)
}

// errEnough ends a page without being an error.
var errEnough = errors.New("enough")

// page collects whole rows until they end or their tokens are larger than size.
func (t *Tx) page(doing string, size int, query string, args ...any) (rows []Row, err error) {
	err = each(t, doing, scanAny, func(row Row) error {
		rows = append(rows, row)
		if size -= len(row.Encrypted); size < 0 {
			return errEnough
		}
		return nil
	}, query, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, err
}
