package db

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// firstReadable returns the smallest id of an entry that still has its readable
// fields. Pruned ones are always the oldest.
func (t *Tx) firstReadable(size int64) (int64, error) {
	from, to := int64(1), size+1
	for from < to {
		middle := from + (to-from)/2
		var readable bool
		err := t.queryRow("select action is not null from datasette_secrets_log where id = ?", middle).Scan(&readable)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: entry %d of the log is gone; look at it with: datasette-secrets audit verify", secrets.ErrIntegrity, middle)
		}
		if err != nil {
			return 0, classify("looking for the oldest entry", err)
		}
		if readable {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from, nil
}

// Prunable returns the entries that a limit leaves to prune: from the first
// readable one up to, but without, end. keep is how many of the newest stay; 0
// is any number. before is the time from which on they stay; the zero time is
// any.
func (t *Tx) Prunable(keep int64, before time.Time) (first, end int64, err error) {
	size, err := t.LogSize()
	if err != nil || size == 0 {
		return 0, 0, err
	}
	if first, err = t.firstReadable(size); err != nil {
		return 0, 0, err
	}
	end = first
	if keep > 0 {
		end = max(end, size-keep+1)
	}
	if !before.IsZero() {
		younger, err := t.firstSince(first, size, before)
		if err != nil {
			return 0, 0, err
		}
		end = max(end, younger)
	}
	return first, end, nil
}

// firstSince returns the id of the first readable entry that is not older than
// a time; ids grow with time.
func (t *Tx) firstSince(first, size int64, since time.Time) (int64, error) {
	from, to := first, size+1
	text := since.UTC().Format(audit.TimeLayout)
	for from < to {
		middle := from + (to-from)/2
		var older bool
		err := t.queryRow("select time < ? from datasette_secrets_log where id = ?", text, middle).Scan(&older)
		if err != nil {
			return 0, classify("looking for old entries", misfit(err))
		}
		if older {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, nil
}

// Prune removes the readable fields of the entries from first up to, but
// without, end, and what blocks tell of them. What is left proves the others.
func (t *Tx) Prune(first, end int64) error {
	err := t.exec(`
		update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null,
			actor_id = null, actor_proof = null, plugin = null, client = null, source = null, allowed = null,
			reason = null, request_id = null, remote = null, salt = null
		where id >= ? and id < ?`, first, end)
	if err != nil {
		return classify("pruning the log", err)
	}
	t.tail.block.forget()
	whole, err := t.wholeBlocks()
	if err != nil {
		return err
	}
	return t.writeBlocks(blockOf(first), min(blockOf(end-1)+1, whole))
}
