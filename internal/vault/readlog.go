package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// What the log says, as the database has it.
type (
	// LogFilter says which entries of the log are meant.
	LogFilter = db.LogFilter
	// LogRow is one entry.
	LogRow = db.LogRow
	// LogFound are some entries, and where the others are.
	LogFound = db.LogFound
	// LogStats are entries that were counted.
	LogStats = db.LogStats
	// LogCount is one line of LogStats.
	LogCount = db.LogCount
)

// MaxLogPage is how many entries OlderLog and NewerLog return at most.
const MaxLogPage = 1000

// LogActions are the words that the log has for acts, for those who choose one.
func LogActions() []string {
	all := []string{
		ActionGet, ActionPut, ActionNote, ActionDelete, ActionRestore, ActionAdopt, ActionDeclare,
		decisionFirstUse, decisionApprove, decisionShare, decisionRefuse, decisionDisable, decisionEnable,
		ActionClientAdd, ActionClientRotate, ActionClientRevoke, ActionClientApprove, ActionClientRefuse, ActionRequest,
	}
	for _, event := range []string{
		eventAddKey, eventRotate, eventRotated, eventRetire, eventInit, eventAdopt, eventAdd, eventRemove, eventRewrap, eventExport, eventLeave, eventUnseal,
	} {
		all = append(all, strings.ReplaceAll(event, " ", "-"))
	}
	return append(all, ActionSignIn, ActionSignOut, ActionCreateToken, ActionBegin, ActionPrune, ActionLogKey)
}

// LogColumns are the names of the columns of the log, in their order.
func LogColumns() []string { return db.LogColumns() }

// ParseLogEntry reads an entry that was written as JSON, for audit.CheckEntry.
func ParseLogEntry(text []byte) (audit.Stored, error) { return db.ParseLogEntry(text) }

// Relaxed reports whether uses of values are recorded without waiting for the
// disk.
func (v *Vault) Relaxed() bool { return v.relaxed }

// OlderLog returns entries of the log that a filter means, newest first: those
// with an id below from, or from the newest on if that is 0. It returns no more
// than limit, and may return fewer, or none, although LogFound.More says that
// there are others: what takes long to find is found in several steps.
//
// Who manages all secrets may read it all. Who manages only some may read what
// is about one of these: the filter has to name it. Reading leaves no trace.
func (v *Vault) OlderLog(ctx context.Context, caller secrets.Caller, f LogFilter, from int64, limit int) (LogFound, error) {
	return v.readLog(ctx, caller, f, limit, func(tx *db.Tx, limit int) (LogFound, error) { return tx.OlderLog(f, from, limit) })
}

// NewerLog is OlderLog in the other direction: entries with an id above from,
// oldest first. LogFound.Next is where to look later for what is new.
func (v *Vault) NewerLog(ctx context.Context, caller secrets.Caller, f LogFilter, from int64, limit int) (LogFound, error) {
	return v.readLog(ctx, caller, f, limit, func(tx *db.Tx, limit int) (LogFound, error) { return tx.NewerLog(f, from, limit) })
}

func (v *Vault) readLog(ctx context.Context, caller secrets.Caller, f LogFilter, limit int, read func(*db.Tx, int) (LogFound, error)) (found LogFound, err error) {
	if err := v.authorizeLog(caller, f.Name); err != nil {
		return LogFound{}, err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		found, err = read(tx, max(1, min(limit, MaxLogPage)))
		return err
	})
	may := v.mayRead(caller)
	found.Entries = slices.DeleteFunc(found.Entries, func(row LogRow) bool { return !may(row.Name) })
	return found, err
}

// LogRow returns one entry of the log. One that the caller may not read is
// ErrNotFound, as is one that does not exist.
func (v *Vault) LogRow(ctx context.Context, caller secrets.Caller, id int64) (row LogRow, err error) {
	if caller.Plugin != "" {
		return LogRow{}, fmt.Errorf("%w: plugins do not read the log", secrets.ErrDenied)
	}
	found := false
	err = v.db.View(ctx, func(tx *db.Tx) error {
		row, found, err = tx.LogRow(id)
		return err
	})
	if err == nil && (!found || !v.mayRead(caller)(row.Name)) {
		err = fmt.Errorf("%w: the log has no entry %d that you may read", secrets.ErrNotFound, id)
	}
	if err != nil {
		return LogRow{}, err
	}
	return row, nil
}

// LogStats counts the entries that a filter means. Only the newest are counted
// if there are more than most to look at.
func (v *Vault) LogStats(ctx context.Context, caller secrets.Caller, f LogFilter, most int64) (stats LogStats, err error) {
	if err := v.authorizeLog(caller, f.Name); err != nil {
		return LogStats{}, err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		stats, err = tx.LogStats(f, max(most, 1))
		return err
	})
	may := v.mayRead(caller)
	stats.ByName = slices.DeleteFunc(stats.ByName, func(c LogCount) bool { return !may(c.Text) })
	return stats, err
}

// maxUseDays bounds how many days are counted at once.
const maxUseDays = 400

// UsesPerDay counts how often the value of a secret was given out, on each of
// so many days (UTC), the first of which is that of first. What was pruned from
// the log is not counted.
func (v *Vault) UsesPerDay(ctx context.Context, caller secrets.Caller, name string, first time.Time, days int) (counts []int64, err error) {
	if _, err := v.authorizeManage(caller, name); err != nil {
		return nil, err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		counts, err = tx.UsesOnDays(name, first, max(0, min(days, maxUseDays)))
		return err
	})
	return counts, err
}

// authorizeLog allows reading the log: that about one secret, or with the name
// "" all of it.
func (v *Vault) authorizeLog(caller secrets.Caller, name string) error {
	if caller.Plugin == "" && caller.Client == "" && caller.Proof == secrets.ProofLocal {
		return nil // who runs commands on the machine has the file itself
	}
	_, err := v.authorizeManage(caller, name)
	return err
}

// mayRead returns a function that tells whether the caller may read entries
// about a name; "" for those about none. A secret may be kept from those who
// manage all others.
func (v *Vault) mayRead(caller secrets.Caller) func(name string) bool {
	known := map[string]bool{}
	return func(name string) bool {
		may, ok := known[name]
		if !ok {
			may = v.authorizeLog(caller, name) == nil
			known[name] = may
		}
		return may
	}
}
