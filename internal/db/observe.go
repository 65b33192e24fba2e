package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// Observe has tell told of every transaction that writes: how many changes
// shared it, how long it took with its sync to the disk, and why nothing was
// kept, if so. It must be called before anything is written, and tell must be
// quick.
func (d *DB) Observe(tell func(changes int, took time.Duration, err error)) { d.told = tell }

// Waiting is how many changes wait for their transaction.
func (d *DB) Waiting() int {
	return d.group.Waiting()
}

// LogEnd returns how many entries the log has, and when its newest head was
// signed: zero if none was.
func (d *DB) LogEnd(ctx context.Context) (entries int64, head time.Time, err error) {
	err = d.View(ctx, func(tx *Tx) error {
		const doing = "reading the end of the log"
		err := tx.queryRow("select coalesce(max(id), 0) from datasette_secrets_log").Scan(&entries)
		if err != nil {
			return classify(doing, err)
		}
		var text string
		err = tx.queryRow("select time from datasette_secrets_log_heads order by id desc limit 1").Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return classify(doing, err)
		}
		if head, err = time.Parse(audit.TimeLayout, text); err != nil {
			return fmt.Errorf("%s: %w: a head has no time", doing, secrets.ErrIntegrity)
		}
		return nil
	})
	return entries, head, err
}
