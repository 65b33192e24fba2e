package db

import (
	"database/sql"
	"errors"
	"math"
	"strings"
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

// condition is one part of a filter.
type condition struct {
	index string // which finds it; empty: none does
	where string
	args  []any
}

// conditions are the parts of a filter but its time.
func (f LogFilter) conditions() []condition {
	var all []condition
	add := func(index, where string, args ...any) { all = append(all, condition{index, where, args}) }
	for _, text := range []struct{ column, text string }{
		{"name", f.Name}, {"actor_id", f.Actor}, {"plugin", f.Plugin}, {"client", f.Client},
	} {
		if text.text != "" {
			add("datasette_secrets_log_"+strings.TrimSuffix(text.column, "_id"), text.column+" = ?", text.text)
		}
	}
	switch {
	case f.Action == "get": // most are, so that an index would help nobody
		add("", "action = 'get'")
	case f.Action != "":
		add("datasette_secrets_log_action", "action = ? and action <> 'get'", f.Action)
	}
	switch {
	case f.Allowed == nil:
	case *f.Allowed:
		add("", "allowed = 1")
	default:
		add("datasette_secrets_log_refused", "allowed = 0")
	}
	return all
}

// log reads a page from one end of a span, and looks at no more than most
// entries for it.
func (t *Tx) log(f LogFilter, span idSpan, limit int, up bool, most int64) (LogFound, error) {
	span, err := t.logSpan(f, span)
	if err != nil || span.empty() {
		return LogFound{}, err
	}
	index, near, err := t.mostSelective(f, span, up, most)
	if err != nil {
		return LogFound{}, err
	}
	query, args := f.query(index, near, limit+1, up)
	entries, err := collect(t, "reading the log", scanLogRow, query, args...)
	if err != nil {
		return LogFound{}, err
	}
	switch {
	case len(entries) > limit:
		entries = entries[:limit]
		return LogFound{entries, entries[limit-1].ID, true}, nil
	case up:
		return LogFound{entries, near.highest, near != span}, nil
	}
	return LogFound{entries, near.lowest, near != span}, nil
}

// query is the statement for the entries of a span that a filter means.
func (f LogFilter) query(index string, span idSpan, limit int, up bool) (string, []any) {
	where, args := []string{"id >= ? and id <= ?"}, []any{span.lowest, span.highest}
	for _, c := range f.conditions() {
		where, args = append(where, c.where), append(args, c.args...)
	}
	return logRows(by(index) + " where " + strings.Join(where, " and ") + " order by id " + order(up) + " limit ?"), append(args, limit)
}

// mostSelective chooses the index that leaves the fewest entries to look at,
// and the part of the span, from its beginning, in which it leaves no more than
// most. Without an index, that is every entry.
func (t *Tx) mostSelective(f LogFilter, span idSpan, up bool, most int64) (index string, near idSpan, err error) {
	near, fewest := span, min(span.highest-span.lowest, most-1)+1
	if up {
		near.highest = span.lowest + fewest - 1
	} else {
		near.lowest = span.highest - fewest + 1
	}
	for _, c := range f.conditions() {
		if c.index == "" {
			continue
		}
		part, count, err := t.reach(c, span, up, most)
		if err != nil {
			return "", idSpan{}, err
		}
		if part.highest-part.lowest > near.highest-near.lowest || part == near && count <= fewest {
			index, near, fewest = c.index, part, count
		}
	}
	return index, near, nil
}

// reach is the part of a span, from its beginning, in which no more than most
// entries meet a condition, and how many do.
func (t *Tx) reach(c condition, span idSpan, up bool, most int64) (part idSpan, count int64, err error) {
	last := "min(id)"
	if up {
		last = "max(id)"
	}
	var end sql.NullInt64
	err = t.queryRow("select count(*), "+last+" from (select id from datasette_secrets_log"+by(c.index)+
		" where id >= ? and id <= ? and "+c.where+" order by id "+order(up)+" limit ?)",
		append(append([]any{span.lowest, span.highest}, c.args...), most)...).Scan(&count, &end)
	switch {
	case err != nil:
		return idSpan{}, 0, classify("reading the log", err)
	case count < most:
	case up:
		span.highest = end.Int64
	default:
		span.lowest = end.Int64
	}
	return span, count, nil
}

func by(index string) string {
	if index == "" {
		return " not indexed"
	}
	return " indexed by " + index
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
		counts[i], err = t.uses(name, today)
		span.lowest = next
		if !found {
			break
		}
	}
	return counts, err
}

func (t *Tx) uses(name string, span idSpan) (count int64, err error) {
	err = t.queryRow(`
		select count(*) from datasette_secrets_log indexed by datasette_secrets_log_name
		where name = ? and id >= ? and id <= ? and action = 'get' and allowed = 1`, name, span.lowest, span.highest).Scan(&count)
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
	where, args := []string{"id >= ? and id <= ?"}, []any{span.lowest, span.highest}
	for _, c := range f.conditions() {
		where, args = append(where, c.where), append(args, c.args...)
	}
	from := " from datasette_secrets_log where " + strings.Join(where, " and ")
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
