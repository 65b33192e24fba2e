package db

import (
	"context"
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
	ctx := context.WithoutCancel(t.ctx) // see queryRow
	const doing = "reading the newest versions of secrets"
	// For the cast, see Newest.
	ask, err := t.conn.PrepareContext(ctx, `
		select version, coalesce(deleted_at, '') <> '' from datasette_secrets
		where name = cast(? as text) order by version desc limit 1`)
	if err != nil {
		return nil, classify(doing, err)
	}
	defer ask.Close()
	heads := make(map[string]Head, len(names))
	for _, name := range names {
		var head Head
		err := ask.QueryRowContext(ctx, name).Scan(&head.Version, &head.Deleted)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, classify(doing, err)
		}
		heads[name] = head
	}
	return heads, nil
}
