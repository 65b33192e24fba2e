package ui

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// The log of all acts is at /-/secrets/-/log, an address that no secret's page
// can have. It is at /-/secrets/log too, where everybody looks for it, unless a
// secret of that name is declared or stored: addresses of secrets are those of
// Datasette's plugin. Links lead to the first one, so that no plugin hides the
// log by what it declares.
const logPath = "/-/secrets/-/log"

// logPage is the log, filtered.
type logPage struct {
	basePage
	Filter   logFilter
	Actions  []string // to choose from
	Here     string   // address of the form
	Entries  entryTable
	Older    string // address; empty: there are none
	Newer    string // address; empty: these are the newest
	Newest   string // address of the first page with this filter
	All      string // address without a filter; empty: there is none
	Looked   int64  // so far back the page has looked without filling up; 0: it is full, or all was looked at
	CSV      string // addresses of the same in other forms
	JSON     string
	Standing standing
	Choices  []link // to choose one from, for those who may see the log of some secrets only
}

func (logPage) file() string { return "log.html" }

// entryTable are entries as pages list them.
type entryTable struct {
	Label, Caption string
	Names          bool // there is a column for the secret
	Rows           []entryRow
}

// entryRow is one of them.
type entryRow struct {
	ID      int64
	URL     string
	When    when
	Action  string
	Name    string
	NameURL template.HTMLAttr // link to the secret; empty: there is none
	Version int64
	Who     string
	WhoID   string // when Who is a name
	Proof   string
	Through string // the plugin or client
	Allowed bool
	Pruned  bool
	Reason  string
	Source  string
}

// How many entries a page of the log has, and the part of it on the page of a
// secret.
const (
	logSize       = 100
	secretLogSize = 20
)

// secretOr shows the page of a secret if there is one of this name, and else
// something of this program.
func (s *site) secretOr(other handler) handler {
	return func(w http.ResponseWriter, r *request) error {
		v, versions, err := s.Vault.Show(r.Context(), r.caller, r.name())
		if err == nil && (v.Declared || v.Version > 0) {
			return s.showPageOf(w, r, v, versions)
		}
		return other(w, r)
	}
}

func (s *site) showLog(w http.ResponseWriter, r *request) error {
	q, err := s.logQuery(r)
	if err != nil {
		return err
	}
	found, err := s.readLog(r, &q)
	if errors.Is(err, secrets.ErrDenied) && q.filter.Name == "" {
		return s.chooseLog(w, r, err)
	}
	if err != nil {
		return err
	}
	page := logPage{
		basePage: s.page(r, "Audit log", s.secretsCrumb()),
		Filter:   q.shown, Actions: vault.LogActions(),
		Here:    s.url(logPath),
		Entries: entryTable{"Entries of the log", "Newest first. Times are in UTC.", true, s.entryRows(r, found.Entries)},
		CSV:     s.url(logPath + ".csv" + q.with()), JSON: s.url(logPath + ".json" + q.with()),
		Newest: s.url(logPath + q.with()),
	}
	page.Alternate = page.JSON
	if q.shown.Any() {
		page.All = s.url(logPath)
	}
	if a := q.shown.Action; a != "" && !slices.Contains(page.Actions, a) {
		page.Actions = append(page.Actions, a)
	}
	page.turn(s, q, found)
	if page.Standing, err = s.standing(r); err != nil {
		return err
	}
	return s.show(w, r, page)
}

// chooseLog is the page of the log for those who manage some secrets only.
// refused is why they do not see all of it.
func (s *site) chooseLog(w http.ResponseWriter, r *request, refused error) error {
	all, err := s.Vault.List(r.Context(), r.caller)
	if err != nil || len(all) == 0 {
		return refused
	}
	page := logPage{basePage: s.page(r, "Audit log", s.secretsCrumb())}
	for _, v := range all {
		page.Choices = append(page.Choices, link{s.nameLogURL(v.Name), v.Name})
	}
	return s.show(w, r, page)
}

// nameLogURL is the address of what the log says of one secret.
func (s *site) nameLogURL(name string) string {
	return s.url(logPath + "?name=" + url.QueryEscape(name))
}

// turn says where the pages around this one are.
func (p *logPage) turn(s *site, q logQuery, found vault.LogFound) {
	at := func(key string, id int64) string { return s.url(logPath + q.with(key, strconv.FormatInt(id, 10))) }
	full := len(found.Entries) >= q.size
	if q.newer {
		p.Older = at("_before", q.from+1)
		if found.More {
			p.Newer = at("_after", found.Next)
		} else {
			p.Newer = p.Newest
		}
	} else {
		if found.More {
			p.Older = at("_before", found.Next)
		}
		if q.from > 0 {
			p.Newer = at("_after", q.from-1)
		}
	}
	if found.More && !full {
		p.Looked = found.Next
	}
}

// readLog reads what a query asks for, newest first.
func (s *site) readLog(r *request, q *logQuery) (vault.LogFound, error) {
	if !q.newer {
		return s.Vault.OlderLog(r.Context(), r.caller, q.filter, q.from, q.size)
	}
	found, err := s.Vault.NewerLog(r.Context(), r.caller, q.filter, q.from, q.size)
	slices.Reverse(found.Entries)
	return found, err
}

// entryRows makes rows of entries, with people's names.
func (s *site) entryRows(r *request, entries []vault.LogRow) []entryRow {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ActorID)
	}
	people := s.namesOf(r, ids)
	rows := make([]entryRow, len(entries))
	for i, e := range entries {
		rows[i] = s.entryRow(e, people)
	}
	return rows
}

func (s *site) entryRow(e vault.LogRow, people names) entryRow {
	row := entryRow{
		ID: e.ID, URL: s.url(logPath + "/" + strconv.FormatInt(e.ID, 10)),
		When: newWhen(toSeconds(e.Time), ""), Action: e.Action, Name: e.Name, Version: e.Version,
		Who: e.ActorID, Proof: e.ActorProof, Allowed: e.Allowed, Pruned: e.Pruned, Reason: e.Reason, Source: e.Source,
	}
	if name, ok := people[e.ActorID]; ok {
		row.Who, row.WhoID = name, e.ActorID
	}
	switch {
	case e.Plugin != "":
		row.Through = "plugin " + e.Plugin
	case e.Client != "":
		row.Through = "client " + e.Client
	}
	if linkable(e.Name) && aboutSecret(e.Action) {
		row.NameURL = attribute("href", s.secretURL(e.Name, ""))
	}
	return row
}

// aboutSecret reports whether the name in an entry is that of a secret, and not
// of a key, a seal or something else.
func aboutSecret(action string) bool {
	return slices.Contains([]string{"get", "put", "note", "delete", "restore", "reveal", "declare", "adopt", "approve", "share", "refuse", "first-use"}, action)
}

// entryPage is one entry of the log with all that is known of it.
type entryPage struct {
	basePage
	ID       int64
	Pruned   bool
	Fields   []tableRow
	NameLog  string // address of the log of the same secret
	NameText string
}

func (entryPage) file() string { return "entry.html" }

// showEntry shows one entry, as JSON if the address ends so.
func (s *site) showEntry(w http.ResponseWriter, r *request) error {
	text, asJSON := strings.CutSuffix(segment(r.path, 4), ".json")
	id, err := entryID(text)
	if err != nil {
		return err
	}
	if asJSON {
		return s.entryJSON(w, r, id)
	}
	e, err := s.Vault.LogRow(r.Context(), r.caller, id)
	if err != nil {
		return err
	}
	page := entryPage{
		basePage: s.page(r, fmt.Sprintf("Entry %d of the audit log", id), s.secretsCrumb(), link{s.url(logPath), "log"}),
		ID:       id, Pruned: e.Pruned,
	}
	for i, value := range e.Values() {
		if value != nil {
			page.Fields = append(page.Fields, tableRow{vault.LogColumns()[i], sprintValue(value)})
		}
	}
	if e.Name != "" {
		page.NameLog, page.NameText = s.nameLogURL(e.Name), e.Name
	}
	return s.show(w, r, page)
}

func sprintValue(value any) string {
	if n, ok := value.(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return value.(string)
}

func entryID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != text {
		return 0, fmt.Errorf("%w: the log has no such entry", secrets.ErrNotFound)
	}
	return id, nil
}
