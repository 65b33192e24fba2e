package vault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// LogCheck is what became of verifying the log. Its problems include those
// between the log and the table of secrets.
type LogCheck struct {
	audit.Report
	Rows    int64 // versions of secrets
	Older   int64 // of them from before the log, or whose entries were pruned
	Foreign int64 // of them stored by another program, and not read here yet
	Keys    []string
	OwnKeys bool // Keys came from the database, and prove less than one kept elsewhere
	// Doubt says why the keys of this host cannot tell whose the public key in
	// the database is: they were exchanged for others, or somebody else signs.
	Doubt string
}

// VerifyLog reads the whole log and finds every way in which it is not what was
// written. verifying are public keys that were kept elsewhere; without any,
// those in the database count. kept are signed heads from elsewhere. It also
// compares the log with the table of secrets, and with that by which entries are
// found.
//
// It needs no key of the keyring, but with one it also finds a public key that
// somebody else put into the database. An error says nothing about the log.
func (v *Vault) VerifyLog(ctx context.Context, caller secrets.Caller, verifying, kept []string) (LogCheck, error) {
	if err := v.authorizeLog(caller, ""); err != nil {
		return LogCheck{}, err
	}
	check := LogCheck{Keys: verifying}
	if len(verifying) == 0 {
		if err := v.useOwnLogKeys(ctx, &check); err != nil {
			return LogCheck{}, err
		}
	}
	// The table first: what it has by now is in the log that is read after it.
	table := map[int64]db.Stored{}
	err := v.db.EachStored(ctx, func(row db.Stored) error {
		table[row.ID] = row
		return nil
	})
	if err != nil {
		return LogCheck{}, err
	}
	source := logSource{ctx: ctx, db: v.db, stored: map[int64]db.Stored{}}
	if check.Report, err = audit.Verify(&source, check.Keys, kept...); err != nil {
		return LogCheck{}, err
	}
	if len(check.Report.Bad) > 0 {
		return check, nil // nothing can be said by a log that is not what was written
	}
	check.compare(table, source.stored, source.before)
	if err := check.findGone(ctx, v.db, table, source.stored); err != nil {
		return check, err
	}
	return check, check.findHidden(ctx, v.db)
}

// useOwnLogKeys takes the public keys in the database.
func (v *Vault) useOwnLogKeys(ctx context.Context, check *LogCheck) error {
	var rows []db.LogKey
	err := v.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = tx.LogKeys()
		return err
	})
	if err != nil {
		return err
	}
	check.Keys, check.OwnKeys = verifyingKeys(rows), true
	ring, locked := v.ring()
	if locked != nil || len(rows) == 0 {
		return nil
	}
	// Older ones may be under keys that were retired since.
	if _, err := unwrapLogKey(ring, rows[0]); err != nil {
		check.Doubt = fmt.Sprintf("the keys of this host do not open the key that signs the log (number %d): they were exchanged for others, or somebody else signs", rows[0].ID)
	}
	return nil
}

// compare finds what is in the table and not in the log.
func (c *LogCheck) compare(table, logged map[int64]db.Stored, before int64) {
	for id, row := range table {
		c.Rows++
		known, found := logged[id]
		switch {
		case found && (known.Name != row.Name || known.Version != row.Version):
			c.problem("row %d is version %d of %s by the log, and version %d of %s in the table", id, known.Version, known.Name, row.Version, row.Name)
		case found:
		case id <= before || c.Pruned > 0 && row.Bound:
			c.Older++
		case !row.Bound:
			c.Foreign++
		default:
			c.problem("version %d of %s (row %d) is in the table, and no entry tells of it", row.Version, row.Name, id)
		}
	}
}

// findGone finds what is in the log and not in the table.
func (c *LogCheck) findGone(ctx context.Context, d *db.DB, table, logged map[int64]db.Stored) error {
	return d.View(ctx, func(tx *db.Tx) error {
		for id, row := range logged {
			if _, found := table[id]; found {
				continue
			}
			has, err := tx.HasRow(id) // it may have come after the table was read
			if err != nil {
				return err
			}
			if !has {
				c.problem("version %d of %s was stored as row %d, and is gone", row.Version, row.Name, id)
			}
		}
		return nil
	})
}

// findHidden finds entries that a filter would not find, and those that it would
// look for in vain: what the file tells of blocks is not covered by any hash.
func (c *LogCheck) findHidden(ctx context.Context, d *db.DB) error {
	wrong, others, err := d.CheckBlocks(ctx)
	for _, entries := range wrong {
		c.problem("entries %d to %d are as they were written, but the table datasette_secrets_log_blocks, by which they are found, tells something else", entries.First, entries.Last)
	}
	if others {
		c.problem("the table datasette_secrets_log_blocks tells of entries that the log does not have, or not all of")
	}
	return err
}

func (c *LogCheck) problem(format string, args ...any) {
	if len(c.Bad) < maxDamages {
		c.Bad = append(c.Bad, audit.Problem{What: fmt.Sprintf(format, args...)})
	}
}

// logSource reads the log page by page, and notes which versions it tells of.
type logSource struct {
	ctx context.Context
	db  *db.DB

	before int64 // the last row from before the log
	stored map[int64]db.Stored
}

// logPage is how many entries are read at once.
const logPage = 1000

var errEnough = errors.New("no more is asked for")

// Pages is part of audit.Source.
func (s *logSource) Pages() iter.Seq2[audit.Page, error] {
	return func(yield func(audit.Page, error) bool) {
		err := s.db.ReadLog(s.ctx, logPage, func(page audit.Page) error {
			for _, e := range page.Entries {
				s.note(e.Entry)
			}
			if !yield(page, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(audit.Page{}, err)
		}
	}
}

func (s *logSource) note(e audit.Entry) {
	if !e.Allowed {
		return
	}
	switch e.Action {
	case ActionBegin:
		if e.ID == 1 {
			s.before = e.SecretID
		}
	case ActionPut, ActionDelete, ActionRestore, ActionAdopt:
		s.stored[e.SecretID] = db.Stored{ID: e.SecretID, Name: e.Name, Version: e.Version}
	}
}

// Heads is part of audit.Source.
func (s *logSource) Heads() iter.Seq2[audit.StoredHead, error] {
	return func(yield func(audit.StoredHead, error) bool) {
		for id, n := int64(math.MinInt64), logPage; n == logPage; {
			var heads []audit.StoredHead
			err := s.db.View(s.ctx, func(tx *db.Tx) (err error) {
				heads, err = tx.LogHeadsAfter(id, logPage)
				return err
			})
			if err != nil {
				yield(audit.StoredHead{}, err)
				return
			}
			for _, head := range heads {
				if !yield(head, nil) {
					return
				}
				id = head.ID
			}
			n = len(heads)
		}
	}
}
