package ui

import (
	"net/http"
	"slices"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// dataPage shows one JSON document to a person.
type dataPage struct {
	basePage
	Heading string
	Text    string // what it is, one sentence
	JSON    string
}

func (dataPage) file() string { return "data.html" }

// table is dataPage for documents of one level.
type tablePage struct {
	basePage
	Heading string
	Text    string
	Rows    []tableRow
}

func (tablePage) file() string { return "table.html" }

type tableRow struct{ Name, Value string }

// about shows the HTML form of a document, with its JSON form one link away.
func (s *site) about(w http.ResponseWriter, r *request, name, heading, text string, v any) error {
	page := dataPage{s.page(r, heading), heading, text, readableJSON(v)}
	page.Alternate = s.alternate(w, r, name)
	return s.show(w, r, page)
}

// alternate announces the JSON form of a page, as Datasette does.
func (s *site) alternate(w http.ResponseWriter, r *request, name string) string {
	address := s.url("/-/" + name + ".json")
	w.Header().Set("Link", "<"+s.scheme(r.Request)+"://"+r.Host+address+`>; rel="alternate"; type="application/json+datasette"`)
	return address
}

func (s *site) table(w http.ResponseWriter, r *request, name, heading, text string, rows []tableRow) error {
	page := tablePage{s.page(r, heading), heading, text, rows}
	page.Alternate = s.alternate(w, r, name)
	return s.show(w, r, page)
}

func (s *site) actorObject(r *request) any {
	if !r.signedIn() {
		return nil
	}
	return map[string]any(r.caller.Actor)
}

func (s *site) actorPage(w http.ResponseWriter, r *request) error {
	return s.about(w, r, "actor", "Actor", "Who this host thinks you are.", object{{"actor", s.actorObject(r)}})
}

func (s *site) actorJSON(w http.ResponseWriter, r *request) error {
	return s.json(w, r, object{{"ok", true}, {"actor", s.actorObject(r)}})
}

func (s *site) versionsPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	rows := []tableRow{{"datasette-secrets", s.Versions.Host}, {"Go", s.Versions.Go}, {"SQLite", s.Versions.SQLite}}
	if s.Versions.Note != "" {
		rows = append(rows, tableRow{"Note", s.Versions.Note})
	}
	return s.table(w, r, "versions", "Versions", "What this host is built from.", rows)
}

// versionsJSON keeps Datasette's key for what the host itself is.
func (s *site) versionsJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	host := object{{"version", s.Versions.Host}}
	if s.Versions.Note != "" {
		host = append(host, member{"note", s.Versions.Note})
	}
	return s.json(w, r, object{
		{"ok", true},
		{"datasette", host},
		{"go", object{{"version", s.Versions.Go}}},
		{"sqlite", object{{"version", s.Versions.SQLite}}},
	})
}

func (s *site) settingsPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	var rows []tableRow
	for _, m := range s.settingsObject() {
		rows = append(rows, tableRow{m.key, pythonJSON(m.value)})
	}
	return s.table(w, r, "settings", "Settings", "Every setting of Datasette, with the value in force. A host of secrets has no use for most of them.", rows)
}

func (s *site) settingsJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	return s.json(w, r, append(object{{"ok", true}}, s.settingsObject()...))
}

func (s *site) settingsObject() object { return sorted(s.Settings.All()) }

func (s *site) configPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	return s.about(w, r, "config", "Configuration", "The configuration in force. Whatever may be confidential is shown as ***.", s.ConfigTree())
}

func (s *site) configJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	return s.json(w, r, append(object{{"ok", true}}, sorted(s.ConfigTree())...))
}

func (s *site) databasesPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	var rows []tableRow
	for _, db := range s.databaseRows() {
		rows = append(rows, tableRow{db.Name, db.File + ", " + db.Size})
	}
	return s.table(w, r, "databases", "Databases", "The database files that were attached when this host was started.", rows)
}

func (s *site) databasesJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	list := []any{}
	for _, db := range s.Databases {
		list = append(list, object{
			{"name", db.Name},
			{"route", db.Name},
			{"path", fileName(db.Path)},
			{"size", db.Size},
			{"is_mutable", db.Write},
			{"is_memory", false},
			{"hash", nil},
		})
	}
	return s.json(w, r, object{{"ok", true}, {"databases", list}})
}

func (s *site) actionsPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.PermissionsDebug); err != nil {
		return err
	}
	var rows []tableRow
	for _, a := range access.Actions() {
		rows = append(rows, tableRow{a.Name, a.Description})
	}
	return s.table(w, r, "actions", "Actions", "What permissions are about.", rows)
}

func (s *site) actionsJSON(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.PermissionsDebug); err != nil {
		return err
	}
	list := []any{}
	for _, a := range access.Actions() {
		list = append(list, actionObject(a))
	}
	return s.json(w, r, object{{"ok", true}, {"actions", list}})
}

func actionObject(a access.Action) object {
	var abbr any
	if a.Abbr != "" {
		abbr = a.Abbr
	}
	// Upstream's manage-secrets is about no resource, and so it is called here.
	var resource any
	if a.Name == access.DatasetteSecret {
		resource = "SecretResource"
	}
	return object{
		{"name", a.Name},
		{"abbr", abbr},
		{"description", a.Description},
		{"takes_parent", resource != nil},
		{"takes_child", false},
		{"resource_class", resource},
		{"also_requires", nil},
	}
}

// sorted is an object with the members of m in the order of their names.
func sorted(m map[string]any) object {
	var o object
	for name, value := range m {
		o = append(o, member{name, value})
	}
	slices.SortFunc(o, func(a, b member) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return o
}
