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
	KeyName    string
	CreatedAt  string
	CreatedBy  string
	UpdatedAt  string
	UpdatedBy  string
	DeletedAt  string
	DeletedBy  string
	LastUsedAt string
	LastUsedBy string
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

// rowColumns reads a Row without its token, in the order of scanRow.
const rowColumns = `s.id, s.name, coalesce(s.note, ''), s.version, s.encryption_key_name,
	coalesce(s.created_at, ''), coalesce(s.created_by, ''),
	coalesce(s.updated_at, ''), coalesce(s.updated_by, ''),
	coalesce(s.deleted_at, ''), coalesce(s.deleted_by, ''),
	coalesce(s.last_used_at, ''), coalesce(s.last_used_by, '')`

func scanRow(scan scanner, more ...any) (Row, error) {
	var r Row
	err := scan(append([]any{&r.ID, &r.Name, &r.Note, &r.Version, &r.KeyName,
		&r.CreatedAt, &r.CreatedBy, &r.UpdatedAt, &r.UpdatedBy,
		&r.DeletedAt, &r.DeletedBy, &r.LastUsedAt, &r.LastUsedBy}, more...)...)
	return r, err
}

// Newest returns the newest version of a name, with its token; found is false
// when the name has none.
func (t *Tx) Newest(name string) (row Row, found bool, err error) {
	return t.row("reading the newest version of a secret", `
		select `+rowColumns+`, s.encrypted from datasette_secrets s
		where s.name = ? order by s.version desc limit 1`, name)
}

// Version returns one version of a name, with its token.
func (t *Tx) Version(name string, version int64) (row Row, found bool, err error) {
	return t.row("reading a version of a secret", `
		select `+rowColumns+`, s.encrypted from datasette_secrets s
		where s.name = ? and s.version = ? limit 1`, name, version)
}

func (t *Tx) row(doing, query string, args ...any) (row Row, found bool, err error) {
	var token []byte
	row, err = scanRow(t.tx.QueryRowContext(t.ctx, query, args...).Scan, &token)
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, false, nil
	}
	row.Encrypted = token
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
		return r, err
	}, `
		with newest as (select id, max(version) from datasette_secrets group by name)
		select s.name, s.note, s.version, s.updated_at, s.updated_by,
			s.deleted_at, s.deleted_by, s.last_used_at, s.last_used_by
		from newest join datasette_secrets s on s.id = newest.id
		order by s.name`)
}

// Versions returns the newest versions of a name, newest first, at most limit.
func (t *Tx) Versions(name string, limit int) ([]Row, error) {
	return collect(t, "listing the versions of a secret", func(scan scanner) (Row, error) { return scanRow(scan) }, `
		select `+rowColumns+` from datasette_secrets s
		where s.name = ? order by s.version desc limit ?`, name, limit)
}

// scanner reads the columns of one row.
type scanner = func(...any) error

// collect reads rows with a context that does not end: with one that does, the
// driver starts a goroutine for every row. The transaction as a whole still
// ends in time.
func collect[T any](t *Tx, doing string, read func(scanner) (T, error), query string, args ...any) ([]T, error) {
	found, err := t.tx.QueryContext(context.WithoutCancel(t.ctx), query, args...)
	if err != nil {
		return nil, classify(doing, err)
	}
	defer found.Close()
	var all []T
	for found.Next() {
		one, err := read(found.Scan)
		if err != nil {
			return nil, classify(doing, err)
		}
		all = append(all, one)
	}
	return all, classify(doing, found.Err())
}

// Insert adds a version to row.Name and returns its number, one above the
// highest. It takes Name, Note, Encrypted, KeyName and CreatedBy.
func (t *Tx) Insert(row Row) (version int64, err error) {
	row.DeletedAt, row.DeletedBy = "", ""
	return t.insert(row)
}

// InsertTombstone is Insert for a version that says the secret was deleted, by
// row.CreatedBy.
func (t *Tx) InsertTombstone(row Row) (version int64, err error) {
	row.DeletedAt, row.DeletedBy = t.now.Format(time.DateTime), row.CreatedBy
	return t.insert(row)
}

// insert finds the version's number inside the statement, under the write
// lock, so that it is unique whoever else writes.
func (t *Tx) insert(row Row) (version int64, err error) {
	now := t.now.Format(time.DateTime)
	err = t.tx.QueryRowContext(t.ctx, `
		insert into datasette_secrets
			(name, note, version, encrypted, encryption_key_name,
			 created_at, created_by, updated_at, updated_by, deleted_at, deleted_by)
		values (?, ?, coalesce((select max(version) + 1 from datasette_secrets where name = ?), 1), ?, ?,
			?, ?, ?, ?, ?, ?)
		returning version`,
		row.Name, row.Note, row.Name, row.Encrypted, row.KeyName,
		now, orNull(row.CreatedBy), now, orNull(row.CreatedBy), orNull(row.DeletedAt), orNull(row.DeletedBy),
	).Scan(&version)
	return version, classify("storing a secret", err)
}

// SetNote changes the note of one row, and who updated it when.
func (t *Tx) SetNote(id int64, note, by string) error {
	return classify("storing a note", t.exec(`
		update datasette_secrets set note = ?, updated_at = ?, updated_by = ? where id = ?`,
		note, t.now.Format(time.DateTime), orNull(by), id))
}

// Touch records that one row was used now, on behalf of by.
func (t *Tx) Touch(id int64, by string) error {
	return classify("recording the use of a secret", t.exec(`
		update datasette_secrets set last_used_at = ?, last_used_by = ? where id = ?`,
		t.now.Format(time.DateTime), orNull(by), id))
}

func (t *Tx) exec(query string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, query, args...)
	return classify("writing", err)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
