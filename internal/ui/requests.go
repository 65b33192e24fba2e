package ui

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// requestGroup is what a plugin asks for, in one state.
type requestGroup struct {
	Heading string
	Rows    []requestRow
}

// requestRow is something that a plugin asks for.
type requestRow struct {
	Plugin  string
	Manage  string // address of what can be done with the plugin
	What    string // "secret" or "hook"
	Name    string
	URL     string // of the secret's page; empty for who may not see it
	Note    string
	Field   string // of a form that decides about it
	Decided when

	// What can be done. Confirmed things are links to a page that asks first.
	Approve      bool
	Refuse       bool
	ApproveAsk   string // address; empty unless it has to be confirmed
	ApproveLabel string
	RefuseAsk    string
}

// requestGroups are what a plugin asks for that is in one of some states. What
// is pending counts only while the plugin asks for it.
func (s *site) requestGroups(p vault.Plugin, sees func(string) bool, states ...vault.RequestState) []requestGroup {
	var groups []requestGroup
	for _, state := range states {
		group := requestGroup{Heading: stateHeading(state)}
		for _, r := range p.Requests {
			if r.State == state && (r.Asked || state != vault.RequestPending) {
				group.Rows = append(group.Rows, s.requestRow(p.Name, r, sees))
			}
		}
		if len(group.Rows) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

func stateHeading(state vault.RequestState) string {
	switch state {
	case vault.RequestPending:
		return "Asks for"
	case vault.RequestGranted:
		return "May use"
	}
	return "Was refused"
}

// approveAll are the fields of a form that approves all that is pending and
// needs no second thought, if that is more than one thing; but tells whether
// there is more.
func approveAll(p vault.Plugin) (fields []string, but bool) {
	for _, r := range p.Requests {
		if r.State != vault.RequestPending || !r.Asked {
			continue
		}
		if r.Delicate {
			but = true
			continue
		}
		fields = append(fields, requestField(r.Request))
	}
	if len(fields) < 2 {
		return nil, false
	}
	return fields, but
}

func (s *site) requestRow(plugin string, r vault.PluginRequest, sees func(string) bool) requestRow {
	row := requestRow{
		Plugin: plugin, Manage: s.manageURL(plugin, ""), What: string(r.Kind), Name: r.Name,
		Field: requestField(r.Request), Note: requestNote(r), ApproveLabel: "Approve",
	}
	if r.Kind == vault.RequestSecret && sees(r.Name) {
		row.URL = s.secretURL(r.Name, "")
	}
	if r.State != vault.RequestPending && r.DecidedBy != "" {
		row.Decided = newWhen(r.DecidedAt, r.DecidedBy)
	}
	query := "?" + url.QueryEscape(row.Field) + "=on"
	row.Approve, row.Refuse = r.State != vault.RequestGranted, r.State == vault.RequestPending
	if row.Approve && r.Delicate {
		row.Approve, row.ApproveAsk = false, s.manageURL(plugin, "/approve")+query
		if len(r.HeldBy) > 0 {
			row.ApproveLabel = "Share"
		}
	}
	if r.State == vault.RequestGranted {
		row.RefuseAsk = s.manageURL(plugin, "/refuse") + query
	}
	return row
}

// requestNote says what is special about a request.
func requestNote(r vault.PluginRequest) string {
	var notes []string
	if r.Kind == vault.RequestHook {
		notes = append(notes, hookWords(r.Name))
	}
	if len(r.HeldBy) > 0 {
		notes = append(notes, "also used by "+and(r.HeldBy))
	}
	if r.LeftOut {
		notes = append(notes, "kept for others by the rules of the secret")
	}
	if !r.Asked {
		notes = append(notes, "not asked for any more")
	}
	return strings.Join(notes, "; ")
}

// hookWords says what a plugin does that serves a hook.
func hookWords(hook string) string {
	switch hook {
	case vault.HookValidator:
		return "tries out the values of its secrets"
	case vault.HookMenu:
		return "adds links to the menu"
	case vault.HookActors:
		return "tells the names of people"
	case vault.HookAuthenticator:
		return "says who is signed in"
	case vault.HookHTTP:
		return "shows pages of its own"
	}
	return ""
}

// and joins names in a sentence.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// requestField is the field of a form that means a request.
func requestField(r vault.Request) string { return string(r.Kind) + ":" + r.Name }

// requestsIn are the requests that the fields of a form mean, in order.
func requestsIn(fields form) ([]vault.Request, error) {
	var requests []vault.Request
	for field := range fields {
		kind, name, _ := strings.Cut(field, ":")
		if k := vault.RequestKind(kind); k == vault.RequestSecret || k == vault.RequestHook {
			requests = append(requests, vault.Request{Kind: k, Name: name})
		}
	}
	if len(requests) == 0 {
		return nil, fmt.Errorf("%w: say what to decide about; the buttons of the page of plugins do", secrets.ErrInvalid)
	}
	slices.SortFunc(requests, func(a, b vault.Request) int { return strings.Compare(a.String(), b.String()) })
	return requests, nil
}
