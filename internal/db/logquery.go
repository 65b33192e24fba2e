package db

import (
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// maxLooked is how many entries one question to the log looks at, at most,
// whatever it asks for. Finding nothing among many then takes several
// questions, each of which is quick.
const maxLooked = 20_000

// LogFilter says which entries of the log are meant: those that meet all of it.
// What is zero is not asked for.
type LogFilter struct {
	Name    string
	Actor   string // the id
	Plugin  string
	Client  string
	Action  string
	Allowed *bool
	Since   time.Time // from then on
	Until   time.Time // before that
}

// LogFound are some entries of the log, and where the others are.
type LogFound struct {
	Entries []LogRow
	Next    int64 // what to give as from, to go on in the same direction
	More    bool  // there may be others in that direction
}

// OlderLog returns entries that a filter means, newest first: those with an id below
// from, or from the newest on if that is 0. It returns as many as limit, fewer if
// finding them takes too long, and none only then or at the end.
//
// Entries are in the order of their ids. Where Since and Until lie among them is
// found by halving, for time grows with the ids; where somebody set the clock
// back, an entry may be taken for one of its neighbours' time. What was pruned
// has no time and counts as older than everything else.
func (t *Tx) OlderLog(f LogFilter, from int64, limit int) (LogFound, error) {
	if from <= 0 {
		from = math.MaxInt64
	} else {
		from--
	}
	return t.log(f, idSpan{1, from}, limit, false, maxLooked)
}

// NewerLog is OlderLog the other way round, oldest first: entries with an id above
// from. Next is never below from, so that what comes later can be asked for.
func (t *Tx) NewerLog(f LogFilter, from int64, limit int) (LogFound, error) {
	from = max(from, 0)
	if from == math.MaxInt64 {
		return LogFound{Next: from}, nil
	}
	page, err := t.log(f, idSpan{from + 1, math.MaxInt64}, limit, true, maxLooked)
	page.Next = max(page.Next, from)
	return page, err
}

// LogRow returns one entry.
func (t *Tx) LogRow(id int64) (e LogRow, found bool, err error) {
	e, err = scanLogRow(t.queryRow(logRows("where id = ?"), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return LogRow{}, false, nil
	}
	return e, err == nil, classify("reading an entry of the log", err)
}

// idSpan are the ids from lowest to highest.
type idSpan struct{ lowest, highest int64 }

func (s idSpan) empty() bool { return s.lowest > s.highest }

// logSpan narrows a span to the ids that there are, and to the filter's time.
func (t *Tx) logSpan(f LogFilter, span idSpan) (idSpan, error) {
	var lowest, highest sql.NullInt64
	err := t.queryRow(`
		select (select min(id) from datasette_secrets_log), (select max(id) from datasette_secrets_log)`).Scan(&lowest, &highest)
	if err != nil {
		return idSpan{}, classify("reading the log", err)
	}
	if !highest.Valid {
		return idSpan{1, 0}, nil
	}
	all := idSpan{max(lowest.Int64, 1), highest.Int64}
	if !f.Since.IsZero() {
		first, found, err := t.firstAt(all, f.Since)
		if err != nil || !found {
			return idSpan{1, 0}, err
		}
		span.lowest = max(span.lowest, first)
	}
	if !f.Until.IsZero() {
		first, found, err := t.firstAt(all, f.Until)
		if err != nil {
			return idSpan{}, err
		}
		if found {
			span.highest = min(span.highest, first-1)
		}
	}
	return idSpan{max(span.lowest, all.lowest), min(span.highest, all.highest)}, nil
}

// firstAt is the first entry of a span that is not older than a moment.
func (t *Tx) firstAt(span idSpan, moment time.Time) (id int64, found bool, err error) {
	text := moment.UTC().Format(audit.TimeLayout)
	low, high := span.lowest, span.highest
	for low <= high {
		middle := low + (high-low)/2
		var next int64
		var older bool
		err := t.queryRow(`
			select id, time is null or time < ? from datasette_secrets_log
			where id >= ? and id <= ? order by id limit 1`, text, middle, high).Scan(&next, &older)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			high = middle - 1
		case err != nil:
			return 0, false, classify("looking for a time in the log", err)
		case older && next == math.MaxInt64:
			return id, found, nil
		case older:
			low = next + 1
		default:
			id, found, high = next, true, middle-1
		}
	}
	return id, found, nil
}

// condition is one part of a filter: a column and what has to be in it.
type condition struct {
	column string
	value  any
	in     blockText // of the blocks that have it; zero if most have
}

// conditions are the parts of a filter but its time.
func (f LogFilter) conditions() []condition {
	var all []condition
	for _, in := range []blockText{
		{kindName, f.Name}, {kindActor, f.Actor}, {kindPlugin, f.Plugin}, {kindClient, f.Client}, {kindAction, f.Action},
	} {
		switch {
		case in.text == "":
		case in == blockText{kindAction, audit.Get}:
			all = append(all, condition{column: in.kind, value: in.text})
		default:
			all = append(all, condition{in.kind, in.text, in})
		}
	}
	switch {
	case f.Allowed == nil:
	case *f.Allowed:
		all = append(all, condition{column: "allowed", value: true})
	default:
		all = append(all, condition{"allowed", false, blockText{kind: kindRefused}})
	}
	return all
}

// texts are what a block has to have that has an entry which the filter means.
func (f LogFilter) texts() (all []blockText) {
	for _, c := range f.conditions() {
		if c.in.kind != "" {
			all = append(all, c.in)
		}
	}
	return all
}

// where is what a statement asks for: the entries of a span that a filter means.
func (f LogFilter) where(span idSpan) (where string, args []any) {
	where, args = " where id >= ? and id <= ?", []any{span.lowest, span.highest}
	for _, c := range f.conditions() {
		where, args = where+" and "+c.column+" = ?", append(args, c.value)
	}
	return where, args
}

// log reads a page from one end of a span, and looks at no more than most
// entries for it, but for one block at least.
func (t *Tx) log(f LogFilter, span idSpan, limit int, up bool, most int64) (LogFound, error) {
	span, err := t.logSpan(f, span)
	if err == nil && !span.empty() {
		span, err = t.skipGap(span, up)
	}
	if err != nil || span.empty() {
		return LogFound{}, err
	}
	near, blocks, err := t.nearBlocks(f, span, up, int(max(most/blockSize, 1)))
	if err != nil {
		return LogFound{}, err
	}
	var entries []LogRow
	for _, part := range runs(blocks, near) {
		query, args := f.query(part, limit+1-len(entries), up)
		some, err := collect(t, "reading the log", scanLogRow, query, args...)
		if err != nil {
			return LogFound{}, err
		}
		if entries = append(entries, some...); len(entries) > limit {
			entries = entries[:limit]
			return LogFound{entries, entries[limit-1].ID, true}, nil
		}
	}
	if up {
		return LogFound{entries, near.highest, near != span}, nil
	}
	return LogFound{entries, near.lowest, near != span}, nil
}

// query is the statement for the entries of a span that a filter means.
func (f LogFilter) query(span idSpan, limit int, up bool) (string, []any) {
	where, args := f.where(span)
	return logRows(where + " order by id " + order(up) + " limit ?"), append(args, limit)
}

// skipGap makes a span begin with an entry, in the direction of reading: somebody
// may have put in ids far above the others.
func (t *Tx) skipGap(span idSpan, up bool) (idSpan, error) {
	var id int64
	err := t.queryRow("select id from datasette_secrets_log where id >= ? and id <= ? order by id "+order(up)+" limit 1",
		span.lowest, span.highest).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return idSpan{1, 0}, nil
	case err != nil:
		return idSpan{}, classify("reading the log", err)
	case up:
		span.lowest = id
	default:
		span.highest = id
	}
	return span, nil
}

func order(up bool) string {
	if up {
		return "asc"
	}
	return "desc"
}

// logRows is a statement that reads entries for scanLogRow. SQLite takes anything
// in any column, and this is read by people who look for just that, so that
// whatever is there is read as something.
func logRows(rest string) string {
	return `
	select id, coalesce(time, ''), coalesce(action, ''), coalesce(name, ''),
		coalesce(cast(secret_id as integer), 0), coalesce(cast(version as integer), 0),
		coalesce(actor_id, ''), coalesce(actor_proof, ''), coalesce(plugin, ''), coalesce(client, ''), coalesce(source, ''),
		coalesce(allowed = 1, 0), coalesce(reason, ''), coalesce(request_id, ''), coalesce(remote, ''),
		cast(salt as blob), cast(leaf as blob), time is null and action is null and salt is null
	from datasette_secrets_log ` + rest
}

func scanLogRow(scan scanner) (e LogRow, err error) {
	err = scan(&e.ID, &e.Time, &e.Action, &e.Name, &e.SecretID, &e.Version,
		&e.ActorID, &e.ActorProof, &e.Plugin, &e.Client, &e.Source,
		&e.Allowed, &e.Reason, &e.RequestID, &e.Remote, &e.Salt, &e.Leaf, &e.Pruned)
	return e, misfit(err)
}

// UsesOnDays counts how often the value of a secret was given out on each day
// (UTC): as many days as asked for, from the day of first on. What was pruned is
// not counted.
func (t *Tx) UsesOnDays(name string, first time.Time, days int) ([]int64, error) {
	day := first.UTC().Truncate(24 * time.Hour)
	span, err := t.logSpan(LogFilter{Since: day}, idSpan{1, math.MaxInt64})
	if err != nil {
		return nil, err
	}
	told, err := t.toldBlocks()
	counts := make([]int64, days)
	for i := 0; i < days && err == nil && !span.empty(); i++ {
		day = day.Add(24 * time.Hour)
		today := span
		next, found, atErr := t.firstAt(span, day)
		if atErr != nil {
			return nil, atErr
		}
		if found {
			today.highest = next - 1
		}
		counts[i], err = t.uses(name, today, told)
		span.lowest = next
		if !found {
			break
		}
	}
	return counts, err
}

// uses counts the uses of a secret in a span: by blocks as far as there are whole
// ones in it that the table tells of, which are those before told, else by entries.
func (t *Tx) uses(name string, span idSpan, told int64) (int64, error) {
	first, end := blockOf(span.lowest), min(span.highest/blockSize, told)
	if blockSpan(first).lowest < span.lowest {
		first++
	}
	if first >= end {
		return t.usesByEntries(name, span)
	}
	before, err := t.usesByEntries(name, idSpan{span.lowest, first * blockSize})
	if err != nil {
		return 0, err
	}
	within, err := t.usesByBlocks(name, first, end-1)
	if err != nil {
		return 0, err
	}
	after, err := t.usesByEntries(name, idSpan{end*blockSize + 1, span.highest})
	return before + within + after, err
}

func (t *Tx) usesByEntries(name string, span idSpan) (count int64, err error) {
	if span.empty() {
		return 0, nil
	}
	err = t.queryRow(`
		select count(*) from datasette_secrets_log
		where id >= ? and id <= ? and name = ? and action = 'get' and allowed = 1`, span.lowest, span.highest, name).Scan(&count)
	return count, classify("counting the uses of a secret", err)
}

// LogCount is how many entries agree in what they were grouped by.
type LogCount struct {
	Text    string // empty where the entries have none
	Allowed int64
	Refused int64
}

// LogStats are the entries of a span, grouped in some ways, the largest groups
// first.
type LogStats struct {
	Lowest, Highest int64 // ids of the first and the last entry that was counted
	Entries         int64
	Pruned          int64
	ByAction        []LogCount
	ByName          []LogCount
	ByActor         []LogCount
	ByPlugin        []LogCount
	ByClient        []LogCount
}

// maxGroups is how many groups LogStats has at most, of each kind.
const maxGroups = 50

// LogStats counts the entries that a filter means, but only the newest of them
// if there are more than most ids to look at.
func (t *Tx) LogStats(f LogFilter, most int64) (LogStats, error) {
	span, err := t.logSpan(f, idSpan{1, math.MaxInt64})
	if err != nil || span.empty() {
		return LogStats{}, err
	}
	span.lowest = max(span.lowest, span.highest-most+1)
	stats := LogStats{Lowest: span.lowest, Highest: span.highest}
	where, args := f.where(span)
	from := " from datasette_secrets_log" + where
	err = t.queryRow("select count(*), coalesce(sum(action is null and salt is null), 0)"+from, args...).Scan(&stats.Entries, &stats.Pruned)
	if err != nil {
		return LogStats{}, classify("counting the log", err)
	}
	for column, into := range map[string]*[]LogCount{
		"action": &stats.ByAction, "name": &stats.ByName, "actor_id": &stats.ByActor,
		"plugin": &stats.ByPlugin, "client": &stats.ByClient,
	} {
		*into, err = collect(t, "counting the log", func(scan scanner) (c LogCount, err error) {
			err = scan(&c.Text, &c.Allowed, &c.Refused)
			return c, misfit(err)
		}, "select coalesce("+column+", ''), coalesce(sum(allowed = 1), 0), coalesce(sum(allowed = 0), 0)"+from+
			" and not (action is null and salt is null) group by 1 order by count(*) desc, 1 limit ?", append(args, maxGroups)...)
		if err != nil {
			return LogStats{}, err
		}
	}
	return stats, nil
}
