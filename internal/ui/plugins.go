package ui

import (
	"net/http"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// pluginsPage is /-/plugins.
type pluginsPage struct {
	basePage
	Plugins []pluginRow
	Manager bool // who asks may know more
}

func (pluginsPage) file() string { return "plugins.html" }

// pluginRow is one plugin. What it declared, why it failed and how it is held is there for
// those who manage secrets only.
type pluginRow struct {
	Name      string
	Version   string
	State     string
	Failing   bool
	Since     when
	Restarts  int
	NextStart when
	Hooks     string
	LastError string
	Dropped   int64
	Secrets   []secretLink
	Sandbox   string
	Missing   string // parts of the sandbox
}

type secretLink struct{ URL, Name string }

func (s *site) pluginsPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	page := pluginsPage{
		basePage: s.page(r, "Plugins"),
		Plugins:  s.pluginRows(r),
		Manager:  s.allowed(r, access.ManageSecrets),
	}
	page.Alternate = s.url("/-/plugins.json")
	return s.show(w, r, page)
}

func (s *site) pluginRows(r *request) []pluginRow {
	manager := s.allowed(r, access.ManageSecrets)
	var rows []pluginRow
	for _, p := range s.sortedPlugins() {
		rows = append(rows, s.pluginRow(p, manager))
	}
	return rows
}

func (s *site) pluginRow(p secrets.PluginStatus, manager bool) pluginRow {
	row := pluginRow{
		Name:      p.Name,
		Version:   p.Version,
		State:     stateWord(p.State),
		Failing:   p.State == secrets.PluginBackoff,
		Since:     whenTime(p.Since, ""),
		Restarts:  p.Restarts,
		NextStart: whenTime(p.NextStart, ""),
		Hooks:     strings.Join(p.Hooks, ", "),
		Dropped:   p.DroppedLog,
	}
	if !manager {
		return row
	}
	row.LastError, row.Sandbox, row.Missing = p.LastError, p.Sandbox, strings.Join(p.Missing, "; ")
	for _, name := range p.Secrets {
		row.Secrets = append(row.Secrets, secretLink{s.secretURL(name, ""), name})
	}
	return row
}

// stateWord is the state in a word for everybody. A plugin that waits to be
// started again is failing.
func stateWord(state secrets.PluginState) string {
	if state == secrets.PluginBackoff {
		return "failing"
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
