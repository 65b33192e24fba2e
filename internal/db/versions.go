package db

import (
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

func scanRow(scan func(...any) error, more ...any) (Row, error) {
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
		where s.name = ? order by s.version desc, s.id desc limit 1`, name)
}

// Version returns one version of a name, with its token.
func (t *Tx) Version(name string, version int64) (row Row, found bool, err error) {
	return t.row("reading a version of a secret", `
		select `+rowColumns+`, s.encrypted from datasette_secrets s
		where s.name = ? and s.version = ? order by s.id desc limit 1`, name, version)
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

// NewestOfAll returns the newest version of every name, sorted by name.
func (t *Tx) NewestOfAll() ([]Row, error) {
	return t.rows("listing the secrets", `
		with newest as (select name, max(version) as version from datasette_secrets group by name)
		select `+rowColumns+` from newest
		join datasette_secrets s on s.id = (
			select id from datasette_secrets
			where name = newest.name and version = newest.version order by id desc limit 1)
		order by s.name`)
}

// Versions returns the newest versions of a name, newest first, at most limit.
func (t *Tx) Versions(name string, limit int) ([]Row, error) {
	return t.rows("listing the versions of a secret", `
		select `+rowColumns+` from datasette_secrets s
		where s.name = ? order by s.version desc, s.id desc limit ?`, name, limit)
}

func (t *Tx) rows(doing, query string, args ...any) ([]Row, error) {
	found, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, classify(doing, err)
	}
	defer found.Close()
	var rows []Row
	for found.Next() {
		row, err := scanRow(found.Scan)
		if err != nil {
			return nil, classify(doing, err)
		}
		rows = append(rows, row)
	}
	return rows, classify(doing, found.Err())
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
