package db

import (
	"database/sql"
	"errors"
)

// Head is where a name stands.
type Head struct {
	Version int64 // the newest; 0 if there is none
	Deleted bool  // it is a tombstone
}

// Heads returns the head of each name.
func (t *Tx) Heads(names []string) (map[string]Head, error) {
	heads := make(map[string]Head, len(names))
	for _, name := range names {
		var head Head
		err := t.queryRow(`
			select version, coalesce(deleted_at, '') <> '' from datasette_secrets
			where name = cast(? as text) order by version desc limit 1`, // for the cast, see Newest
			name).Scan(&head.Version, &head.Deleted)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, classify("reading the newest versions of secrets", err)
		}
		heads[name] = head
	}
	return heads, nil
}
