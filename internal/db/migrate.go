package db

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// A migration changes a file once, and is never changed itself.
type migration struct {
	name string
	run  func(*Tx) error
}

// migrations are all of them, oldest first. Files of datasette-secrets 0.1a0
// (an extra "redacted" column) and later need nothing taken away: statements
// name their columns.
func migrations() []migration {
	return []migration{
		{"0001-tables", makeTables},
		{"0002-plugins", makeTables},
		{"0003-seals", makeTables},
		{"0004-bindings", makeTables},
		{"0005-refused-pins", makeTables},
		{"0006-log", beginLog},
		{"0007-clients", makeTables},
		{"0008-log-blocks", findLogByBlocks},
	}
}

// makeTables makes the tables that the file does not have.
func makeTables(t *Tx) error { return t.exec(secrets.Schema) }

// findLogByBlocks makes the table of blocks, which Open fills, and drops the
// indexes that did its work.
func findLogByBlocks(t *Tx) error {
	if err := makeTables(t); err != nil {
		return err
	}
	for _, column := range []string{"name", "actor", "plugin", "client", "action", "refused"} {
		if err := t.exec("drop index if exists datasette_secrets_log_" + column); err != nil {
			return err
		}
	}
	return nil
}

// migrate runs what the file has not seen, all in one transaction.
func (d *DB) migrate(ctx context.Context) (warnings []string, err error) {
	err = d.Update(ctx, func(t *Tx) error {
		if err := t.checkColumns(); err != nil {
			return err
		}
		done, err := t.migrated()
		if err != nil {
			return err
		}
		for _, m := range migrations() {
			if done[m.name] {
				continue
			}
			if err := t.apply(m); err != nil {
				return fmt.Errorf("running migration %s: %w", m.name, err)
			}
		}
		unique, err := t.makeUnique()
		if err == nil && !unique {
			warnings = append(warnings, "the table datasette_secrets has two rows with the same name and version; which of them counts is left to chance")
		}
		return err
	})
	return warnings, err
}

// migrated returns the names of the migrations that the file has seen.
func (t *Tx) migrated() (map[string]bool, error) {
	done := map[string]bool{}
	var tables int
	err := t.queryRow("select count(*) from sqlite_master where type = 'table' and name = 'datasette_secrets_migrations'").Scan(&tables)
	if err != nil || tables == 0 {
		return done, classify("reading the schema", err)
	}
	names, err := t.texts("select name from datasette_secrets_migrations")
	for _, name := range names {
		done[name] = true
	}
	return done, err
}

func (t *Tx) apply(m migration) error {
	if err := m.run(t); err != nil {
		return err
	}
	return t.exec("insert into datasette_secrets_migrations (name, applied_at) values (?, ?)", m.name, t.now.Format(time.DateTime))
}

// checkColumns refuses a table called datasette_secrets that is not ours.
func (t *Tx) checkColumns() error {
	names, err := t.texts("select name from pragma_table_info('datasette_secrets')")
	if err != nil || len(names) == 0 { // no such table yet
		return err
	}
	has := map[string]bool{}
	for _, name := range names {
		has[strings.ToLower(name)] = true
	}
	var missing []string
	for _, column := range columns() {
		if !has[column] {
			missing = append(missing, column)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return fmt.Errorf("its table datasette_secrets lacks the columns %s: another program made it; choose another file", strings.Join(missing, ", "))
	}
	return nil
}

// makeUnique adds the unique index on name and version, and reports false when
// the rows do not allow it: upstream never had one, so a file may hold doubles.
func (t *Tx) makeUnique() (bool, error) {
	err := t.exec("create unique index if not exists datasette_secrets_name_version on datasette_secrets (name, version)")
	var sqliteErr sqlite3.Error
	if errors.As(err, &sqliteErr) && sqliteErr.Code == sqlite3.ErrConstraint {
		return false, nil
	}
	return err == nil, err
}

func (t *Tx) texts(query string) ([]string, error) {
	rows, err := t.conn.QueryContext(t.ctx, query)
	if err != nil {
		return nil, classify("reading the schema", err)
	}
	defer rows.Close()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, classify("reading the schema", err)
		}
		texts = append(texts, text)
	}
	return texts, classify("reading the schema", rows.Err())
}
