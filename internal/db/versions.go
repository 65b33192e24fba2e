package db

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Row is one row of datasette_secrets: a version of a secret. A text column
// that is null reads as empty, and an empty text is stored as null, except for
// the note: upstream stores an empty note as it is. Times are UTC text.
type Row struct {
	ID         int64
	Name       string
	Note       string
	Version    int64
	Encrypted  []byte // the Fernet token; nil in lists
	Binding    []byte // of the token to the row; nil in lists, and for a row of another program
	KeyName    string
	CreatedAt  string
	CreatedBy  string
	UpdatedAt  string
	UpdatedBy  string
	DeletedAt  string
	DeletedBy  string
	LastUsedAt string
	LastUsedBy string

	// Unfit is ErrIntegrity in a row of a list that holds what no program
	// stores. Only ID, and the fields up to the wrong one, are read then.
	Unfit error
}

// Deleted reports whether the row is a tombstone: the version that says the
// secret was deleted.
func (r Row) Deleted() bool { return r.DeletedAt != "" }

// columns are the columns of datasette_secrets that this package uses.
func columns() []string {
	return []string{"id", "name", "note", "version", "encrypted", "encryption_key_name",
		"created_at", "created_by", "updated_at", "updated_by",
		"deleted_at", "deleted_by", "last_used_at", "last_used_by"}
}

// rowsOf is a statement that reads rows for scanRow.
func rowsOf(rest string) string {
	return `
	select s.id, s.name, coalesce(s.note, ''), s.version, s.encryption_key_name,
		coalesce(s.created_at, ''), coalesce(s.created_by, ''),
		coalesce(s.updated_at, ''), coalesce(s.updated_by, ''),
		coalesce(s.deleted_at, ''), coalesce(s.deleted_by, ''),
		coalesce(s.last_used_at, ''), coalesce(s.last_used_by, ''),
		s.encrypted, b.mac
	from datasette_secrets s left join datasette_secrets_bindings b on b.secret_id = s.id
	` + rest
}

func scanRow(scan scanner) (Row, error) {
	var r Row
	err := scan(&r.ID, &r.Name, &r.Note, &r.Version, &r.KeyName,
		&r.CreatedAt, &r.CreatedBy, &r.UpdatedAt, &r.UpdatedBy,
		&r.DeletedAt, &r.DeletedBy, &r.LastUsedAt, &r.LastUsedBy,
		&r.Encrypted, &r.Binding)
	return r, misfit(err)
}

// Newest returns the newest version of a name, with its token; found is false
// when the name has none.
func (t *Tx) Newest(name string) (row Row, found bool, err error) {
	// Next to an order, SQLite 3.54 plans a statement anew whenever a parameter
	// that a column is compared with was cleared, which the driver does after
	// each use. The cast hides it, and keeps the index.
	return t.row("reading the newest version of a secret", rowsOf(`where s.name = cast(? as text) order by s.version desc limit 1`), name)
}

// Current is what the use of a secret takes: its newest version, and its mark. Of
// the version it has ID, Name, Version, Encrypted, Binding, KeyName and DeletedAt.
type Current struct {
	Row    Row
	Found  bool
	Mark   Mark
	Marked bool
}

// Current is what Newest and Mark read, in one statement, or in none if this is
// known already. Nobody may change its bytes.
func (t *Tx) Current(name string) (Current, error) {
	if t.known == nil {
		return t.readCurrent(name)
	}
	if c, is := t.known.newest[name]; is {
		return c, nil
	}
	c, err := t.readCurrent(name)
	if err == nil {
		t.known.learn(name, c)
	}
	return c, err
}

func (t *Tx) readCurrent(name string) (Current, error) {
	c := Current{Row: Row{Name: name}, Mark: Mark{Name: name}}
	var id, version, marked sql.NullInt64
	var key, deleted sql.NullString
	err := t.queryRow(`
		select s.id, s.version, s.encryption_key_name, s.deleted_at, s.encrypted, b.mac, m.version, m.mac
		from (select 1)
		left join datasette_secrets s on s.id = (
			select id from datasette_secrets where name = cast(?1 as text) order by version desc limit 1)
		left join datasette_secrets_bindings b on b.secret_id = s.id
		left join datasette_secrets_marks m on m.name = cast(?1 as text)`, name).Scan(
		&id, &version, &key, &deleted, &c.Row.Encrypted, &c.Row.Binding, &marked, &c.Mark.Code)
	if err != nil {
		return Current{}, classify("reading the newest version of a secret", misfit(err))
	}
	c.Row.ID, c.Row.Version, c.Row.KeyName, c.Row.DeletedAt = id.Int64, version.Int64, key.String, deleted.String
	c.Mark.Version, c.Found, c.Marked = marked.Int64, id.Valid, marked.Valid
	return c, nil
}

// Version returns one version of a name, with its token.
func (t *Tx) Version(name string, version int64) (row Row, found bool, err error) {
	return t.row("reading a version of a secret", rowsOf(`where s.name = ? and s.version = ? limit 1`), name, version)
}

func (t *Tx) row(doing, query string, args ...any) (row Row, found bool, err error) {
	row, err = scanRow(t.queryRow(query, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, false, nil
	}
	return row, err == nil, classify(doing, err)
}

// NewestOfAll returns the newest version of every name, sorted by name. It is
// what the page of all secrets costs, so it reads only what that page shows:
// ID, KeyName, CreatedAt, CreatedBy and Encrypted stay empty.
func (t *Tx) NewestOfAll() ([]Row, error) {
	return collect(t, "listing the secrets", func(scan scanner) (r Row, err error) {
		var note, updatedAt, updatedBy, deletedAt, deletedBy, usedAt, usedBy sql.NullString
		err = scan(&r.Name, &note, &r.Version, &updatedAt, &updatedBy, &deletedAt, &deletedBy, &usedAt, &usedBy)
		r.Note, r.UpdatedAt, r.UpdatedBy = note.String, updatedAt.String, updatedBy.String
		r.DeletedAt, r.DeletedBy = deletedAt.String, deletedBy.String
		r.LastUsedAt, r.LastUsedBy = usedAt.String, usedBy.String
		return r, misfit(err)
	}, `
		with newest as (select id, max(version) from datasette_secrets group by name)
		select s.name, s.note, s.version, s.updated_at, s.updated_by,
			s.deleted_at, s.deleted_by, s.last_used_at, s.last_used_by
		from newest join datasette_secrets s on s.id = newest.id
		order by s.name`)
}

// scanner reads the columns of one row.
type scanner = func(...any) error

// collect reads rows into a list.
func collect[T any](t *Tx, doing string, read func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := each(t, doing, read, func(one T) error {
		all = append(all, one)
		return nil
	}, query, args...)
	return all, err
}

// queryRow reads one row, with a context that does not end: with one that does,
// database/sql and the driver start goroutines for every statement. A transaction
// that took too long is not committed.
func (t *Tx) queryRow(query string, args ...any) *sql.Row {
	return t.conn.QueryRowContext(context.WithoutCancel(t.ctx), query, args...)
}

// each reads rows, as queryRow does, and calls fn with one after the other.
func each[T any](t *Tx, doing string, read func(scanner) (T, error), fn func(T) error, query string, args ...any) error {
	found, err := t.conn.QueryContext(context.WithoutCancel(t.ctx), query, args...)
	if err != nil {
		return classify(doing, err)
	}
	defer found.Close()
	for found.Next() {
		if err := t.over(); err != nil {
			return classify(doing, err)
		}
		one, err := read(found.Scan)
		if err != nil {
			return classify(doing, err)
		}
		if err := fn(one); err != nil {
			return err
		}
	}
	return classify(doing, found.Err())
}

// Insert adds a version to row.Name and returns its id and number: one above
// the highest, and above the number after. It takes Name, Note, Encrypted,
// KeyName, CreatedBy and DeletedAt; a version that has the last is a tombstone,
// which says that the secret was deleted by CreatedBy.
//
// The version's number is found inside the statement, under the write lock, so
// that it is unique whoever else writes.
func (t *Tx) Insert(row Row, after int64) (id, version int64, err error) {
	if row.Deleted() {
		row.DeletedBy = row.CreatedBy
	}
	if err := t.protect(); err != nil {
		return 0, 0, err
	}
	now := t.now.Format(time.DateTime)
	err = t.queryRow(`
		insert into datasette_secrets
			(name, note, version, encrypted, encryption_key_name,
			 created_at, created_by, updated_at, updated_by, deleted_at, deleted_by)
		values (?, ?, 1 + max(?, coalesce((select max(version) from datasette_secrets where name = ?), 0)), ?, ?,
			?, ?, ?, ?, ?, ?)
		returning id, version`,
		row.Name, row.Note, after, row.Name, row.Encrypted, row.KeyName,
		now, orNull(row.CreatedBy), now, orNull(row.CreatedBy), orNull(row.DeletedAt), orNull(row.DeletedBy),
	).Scan(&id, &version)
	return id, version, classify("storing a secret", misfit(err))
}

// SetNote changes the note of one row, and who updated it when.
func (t *Tx) SetNote(id int64, note, by string) error {
	return classify("storing a note", t.exec(`
		update datasette_secrets set note = ?, updated_at = ?, updated_by = ? where id = ?`,
		note, t.now.Format(time.DateTime), orNull(by), id))
}

func (t *Tx) exec(query string, args ...any) error {
	if err := t.protect(); err != nil {
		return err
	}
	return t.run(query, args...)
}

func (t *Tx) run(query string, args ...any) error {
	if err := t.over(); err != nil {
		return classify("writing", err)
	}
	_, err := t.conn.ExecContext(context.WithoutCancel(t.ctx), query, args...)
	return classify("writing", err)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
