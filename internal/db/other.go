package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// ReadOther reads the file of another program, Datasette with its plugin
// datasette-secrets, and changes nothing in it: the newest version of at most
// limit names, in the order of these, each with its token. A row that holds
// what no program stores has Unfit. A file without that table is ErrInvalid.
func ReadOther(ctx context.Context, path string, limit int) (rows []Row, err error) {
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: opening the database: %w", secrets.ErrInvalid, err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: opening the database %s: it is not a regular file", secrets.ErrInvalid, path)
	}
	pool, err := connect(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}}, 1)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	conn, err := begin(ctx, pool, "begin")
	if err != nil {
		return nil, classify("reading the database "+path, err)
	}
	defer end(conn) // nothing was written
	var tables int
	err = conn.QueryRowContext(ctx, `select count(*) from sqlite_master where type = 'table' and name = 'datasette_secrets'`).Scan(&tables)
	if err == nil && tables == 0 {
		return nil, fmt.Errorf("%w: %s has no table datasette_secrets: it is not where Datasette keeps its secrets", secrets.ErrInvalid, path)
	}
	if err == nil {
		rows, err = collect(&Tx{ctx: ctx, conn: conn}, "reading "+path, scanOther, `
			with newest as (select id, max(version) from datasette_secrets group by name)
			select s.name, s.note, s.version, s.encrypted, s.encryption_key_name, s.deleted_at
			from newest join datasette_secrets s on s.id = newest.id
			order by s.name limit ?`, limit)
	}
	return rows, classify("reading the database "+path, err)
}

func scanOther(scan scanner) (r Row, err error) {
	var note, deletedAt *string
	err = misfit(scan(&r.Name, &note, &r.Version, &r.Encrypted, &r.KeyName, &deletedAt))
	if errors.Is(err, secrets.ErrIntegrity) {
		r.Unfit, err = err, nil
	}
	if note != nil {
		r.Note = *note
	}
	if deletedAt != nil {
		r.DeletedAt = *deletedAt
	}
	return r, err
}
