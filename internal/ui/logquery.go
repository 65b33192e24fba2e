package ui

import (
	"fmt"
	"net/url"
	"strconv"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// logFilter is a filter of the log as the form shows it and addresses carry it,
// under the names of the columns.
type logFilter struct {
	Name, Actor, Plugin, Client, Action, Allowed, Since, Until string
}

// Any reports whether anything is filtered.
func (f logFilter) Any() bool { return f != logFilter{} }

// fields are the names and texts that are not empty.
func (f logFilter) fields() url.Values {
	all := url.Values{}
	for name, text := range map[string]string{
		"name": f.Name, "actor_id": f.Actor, "plugin": f.Plugin, "client": f.Client,
		"action": f.Action, "allowed": f.Allowed, "since": f.Since, "until": f.Until,
	} {
		if text != "" {
			all.Set(name, text)
		}
	}
	return all
}

// logQuery is what an address asks of the log.
type logQuery struct {
	filter vault.LogFilter
	shown  logFilter // the same as it was typed
	from   int64     // an id
	newer  bool      // than from, not older
	size   int
}

// with is the query of an address with the same filter, and other things.
func (q logQuery) with(pairs ...string) string {
	fields := q.shown.fields()
	for i := 0; i < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	if q.size != logSize {
		fields.Set("_size", strconv.Itoa(q.size))
	}
	if len(fields) == 0 {
		return ""
	}
	return "?" + fields.Encode()
}

// maxFilterText bounds each text of a filter, in bytes. Nothing in the log is
// longer.
const maxFilterText = 500

// logQuery reads the query of an address. What it does not know is left out;
// what makes no sense is ErrInvalid.
func (s *site) logQuery(r *request) (logQuery, error) {
	fields := r.URL.Query()
	for name := range fields {
		if text := fields.Get(name); len(text) > maxFilterText {
			return logQuery{}, fmt.Errorf("%w: %s is longer than anything in the log", secrets.ErrInvalid, columnText(name))
		}
	}
	q := logQuery{size: logSize, shown: logFilter{
		Name: fields.Get("name"), Actor: fields.Get("actor_id"), Plugin: fields.Get("plugin"), Client: fields.Get("client"),
		Action: fields.Get("action"), Allowed: fields.Get("allowed"), Since: fields.Get("since"), Until: fields.Get("until"),
	}}
	f := q.shown
	q.filter = vault.LogFilter{Name: f.Name, Actor: f.Actor, Plugin: f.Plugin, Client: f.Client, Action: f.Action}
	switch f.Allowed {
	case "":
	case "0", "1":
		allowed := f.Allowed == "1"
		q.filter.Allowed = &allowed
	default:
		return logQuery{}, fmt.Errorf("%w: allowed must be 0 or 1", secrets.ErrInvalid)
	}
	var err error
	if f.Since != "" {
		if q.filter.Since, err = vault.ParseLogTime(f.Since, s.Now()); err != nil {
			return logQuery{}, err
		}
	}
	if f.Until != "" {
		if q.filter.Until, err = vault.ParseLogTime(f.Until, s.Now()); err != nil {
			return logQuery{}, err
		}
	}
	return q, q.readPlace(fields)
}

// readPlace reads which entries are asked for of those that the filter means.
func (q *logQuery) readPlace(fields url.Values) (err error) {
	before, after := fields.Get("_before"), fields.Get("_after")
	switch {
	case after != "":
		q.newer = true
		q.from, err = placeID("_after", after)
	case before != "":
		q.from, err = placeID("_before", before)
	}
	if err != nil {
		return err
	}
	switch size := fields.Get("_size"); size {
	case "":
	case "max":
		q.size = vault.MaxLogPage
	default:
		q.size, err = strconv.Atoi(size)
		if err != nil || q.size < 1 || q.size > vault.MaxLogPage {
			return fmt.Errorf("%w: _size must be 1 to %d, or max", secrets.ErrInvalid, vault.MaxLogPage)
		}
	}
	return nil
}

func placeID(name, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0, fmt.Errorf("%w: %s must be the number of an entry", secrets.ErrInvalid, name)
	}
	return id, nil
}

// columnText keeps a name that somebody made up out of a message.
func columnText(name string) string {
	if len(name) > 20 {
		return "a field"
	}
	return name
}
