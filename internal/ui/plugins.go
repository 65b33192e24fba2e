package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// pluginsPage is /-/plugins.
type pluginsPage struct {
	basePage
	Plugins   []pluginRow
	Knows     bool // who asks is told what plugins declared, why they failed and how they are held
	Decides   bool // who asks may decide about plugins
	Undecided string
}

func (pluginsPage) file() string { return "plugins.html" }

// pluginRow is one plugin. What it declared, why it failed and how it is held
// is there for those who manage secrets or plugins only; what comes after that
// is there for those who decide about it.
type pluginRow struct {
	Name      string
	Version   string
	State     string
	Failing   bool
	Since     when
	Restarts  int
	NextStart when
	Hooks     string
	Dropped   int64

	LastError string
	Secrets   []secretLink
	Sandbox   string
	Missing   string // parts of the sandbox

	Hash, ShortHash string // of its program
	Seen            when   // when it introduced itself for the first time
	Disabled        when
	Asks            []requestGroup // what waits for a decision
	ApproveAll      []string       // fields of a form; empty for fewer than two
	AllBut          bool           // some of what is asked for is not among them
	Decided         []requestGroup
	Manage          string // address of what can be done with it
	CanDisable      bool
	CanEnable       bool
	CanRestart      bool
}

// secretLink is a secret. URL is empty for who may not see its page.
type secretLink struct{ URL, Name string }

func (s *site) pluginsPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	decides := s.allowed(r, access.ManagePlugins)
	page := pluginsPage{
		basePage: s.page(r, "Plugins"),
		Knows:    decides || s.allowed(r, access.ManageSecrets),
		Decides:  decides,
	}
	rows, err := s.pluginRows(r, page.Knows, decides)
	if err != nil {
		return err
	}
	page.Plugins = rows
	if n := s.undecided(r); n > 0 {
		page.Undecided = fmt.Sprintf("%d %s of plugins waiting for a decision.", n, plural(n, "request"))
	}
	page.Alternate = s.url("/-/plugins.json")
	return s.show(w, r, page)
}

// pluginRows are the plugins of this host and, for those who decide, those that
// only the database knows.
func (s *site) pluginRows(r *request, knows, decides bool) ([]pluginRow, error) {
	known := map[string]vault.Plugin{}
	all := s.sortedPlugins()
	if decides {
		list, err := s.Vault.Plugins(r.Context(), r.caller)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			known[p.Name] = p
			if !slices.ContainsFunc(all, func(status secrets.PluginStatus) bool { return status.Name == p.Name }) {
				all = append(all, secrets.PluginStatus{Name: p.Name, State: stateAbsent, Version: p.Version})
			}
		}
	}
	sees := s.seesSecret(r)
	var rows []pluginRow
	for _, status := range all {
		row := pluginFacts(status)
		if knows {
			s.addDetails(&row, status, sees)
		}
		if decides {
			s.addDecisions(&row, status, known[status.Name], sees)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// stateAbsent is the state of a plugin that the database knows, but whose file
// is not in the folder.
const stateAbsent secrets.PluginState = "absent"

// pluginFacts is what everybody may know of a plugin.
func pluginFacts(p secrets.PluginStatus) pluginRow {
	return pluginRow{
		Name:      p.Name,
		Version:   p.Version,
		State:     stateWord(p.State),
		Failing:   p.State == secrets.PluginBackoff || p.State == secrets.PluginFailed || p.State == secrets.PluginDegraded,
		Since:     whenTime(p.Since, ""),
		Restarts:  p.Restarts,
		NextStart: whenTime(p.NextStart, ""),
		Hooks:     strings.Join(p.Hooks, ", "),
		Dropped:   p.DroppedLog,
	}
}

// addDetails adds what the plugin declared, why it failed and how it is held.
func (s *site) addDetails(row *pluginRow, status secrets.PluginStatus, sees func(string) bool) {
	row.LastError, row.Sandbox, row.Missing = status.LastError, status.Sandbox, strings.Join(status.Missing, "; ")
	for _, name := range status.Secrets {
		link := secretLink{Name: name}
		if sees(name) {
			link.URL = s.secretURL(name, "")
		}
		row.Secrets = append(row.Secrets, link)
	}
}

// addDecisions adds what an administrator of plugins knows and can do.
func (s *site) addDecisions(row *pluginRow, status secrets.PluginStatus, known vault.Plugin, sees func(string) bool) {
	row.Hash = known.Hash
	if status.Hash != "" {
		row.Hash = status.Hash
	}
	row.ShortHash = shortHash(row.Hash)
	row.Seen = newWhen(known.FirstSeenAt, "")
	if known.Disabled {
		row.Disabled = newWhen(known.DisabledAt, known.DisabledBy)
	}
	row.Manage = s.manageURL(row.Name, "")
	row.ApproveAll, row.AllBut = approveAll(known)
	row.Asks = s.requestGroups(known, sees, vault.RequestPending)
	row.Decided = s.requestGroups(known, sees, vault.RequestGranted, vault.RequestRefused)
	there := status.State != stateAbsent
	off := status.State == secrets.PluginDisabled || known.Disabled
	row.CanRestart = there && !off && s.Running != nil
	row.CanEnable = off || status.State == secrets.PluginFailed
	row.CanDisable = there && !off
}

// shortHash is enough of a hash to tell programs apart.
func shortHash(hash string) string {
	hash = strings.TrimPrefix(hash, "sha256:")
	return hash[:min(len(hash), 12)]
}

// manageURL is the address of something that can be done with a plugin.
func (s *site) manageURL(plugin, act string) string { return s.url("/-/manage-plugins/"+plugin) + act }

// undecided is how many requests of the plugins of this host wait for the
// decision of who asks; none for who may not decide.
func (s *site) undecided(r *request) int {
	pending, total := s.Vault.Pending(r.caller), 0
	if len(pending) == 0 {
		return 0 // most of the time
	}
	for _, p := range s.Plugins() {
		total += pending[p.Name]
	}
	return total
}

// plural is a word for n things.
func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// stateWord is the state in a word for everybody. A plugin that waits to be
// started again is failing, and one that waits for its turn is waiting: pending
// is a word for requests.
func stateWord(state secrets.PluginState) string {
	switch state {
	case secrets.PluginBackoff:
		return "failing"
	case secrets.PluginPending:
		return "waiting"
	}
	return string(state)
}

func (s *site) sortedPlugins() []secrets.PluginStatus {
	plugins := slices.Clone(s.Plugins())
	slices.SortFunc(plugins, func(a, b secrets.PluginStatus) int { return strings.Compare(a.Name, b.Name) })
	return plugins
}

// pluginsJSON has the shape of Datasette's: an array at the top.
func (s *site) pluginsJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	list := []any{}
	for _, p := range s.sortedPlugins() {
		list = append(list, pluginObject(p))
	}
	return s.json(w, r, list)
}

func pluginObject(p secrets.PluginStatus) object {
	var version any
	if p.Version != "" {
		version = p.Version
	}
	return object{
		{"name", p.Name},
		{"static", false},
		{"templates", false},
		{"version", version},
		{"hooks", slices.Sorted(slices.Values(p.Hooks))},
	}
}
