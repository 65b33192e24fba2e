package db

import (
	"errors"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// CountRows returns how many versions of all secrets there are, and the id of
// the last one.
func (t *Tx) CountRows() (n, last int64, err error) {
	err = t.queryRow("select count(*), coalesce(max(id), 0) from datasette_secrets").Scan(&n, &last)
	return n, last, classify("counting the secrets", err)
}

// RowsAfter returns the rows with the next higher ids, with their tokens, at
// most limit, and fewer when their tokens are larger than size bytes together.
func (t *Tx) RowsAfter(id int64, limit, size int) ([]Row, error) {
	return t.page("reading the secrets", size, rowsOf("where s.id > ? order by s.id limit ?"), id, limit)
}

// ReplaceToken gives a row another token under another key, if it still has the
// token that it had when it was read. Who updated it when stays as it is: the value is the
// same.
func (t *Tx) ReplaceToken(row Row, token []byte, keyName string) (replaced bool, err error) {
	if err := t.protect(); err != nil {
		return false, err
	}
	result, err := t.conn.ExecContext(t.ctx, `
		update datasette_secrets set encrypted = ?, encryption_key_name = ?
		where id = ? and cast(encrypted as blob) = ?`, token, keyName, row.ID, row.Encrypted)
	if err != nil {
		return false, classify("replacing a token", err)
	}
	n, err := result.RowsAffected()
	return n == 1, classify("replacing a token", err)
}

// scanAny is scanRow for lists of which one row must not spoil the others: what
// is wrong with a row becomes a part of it.
func scanAny(scan scanner) (Row, error) {
	row, err := scanRow(scan)
	if errors.Is(err, secrets.ErrIntegrity) {
		row.Unfit, err = err, nil
	}
	return row, err
}
