package db

import (
	"database/sql"
	"errors"
)

// Head returns the number of a name's newest version, 0 if it has none, and
// whether that version is a tombstone.
func (t *Tx) Head(name string) (version int64, deleted bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `
		select version, coalesce(deleted_at, '') <> '' from datasette_secrets
		where name = ? order by version desc limit 1`, name).Scan(&version, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return version, deleted, classify("reading the newest version of a secret", err)
}
