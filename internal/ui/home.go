package ui

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// homePage says what this host is and where one may go.
type homePage struct {
	basePage
	notices
	SecretsURL string // empty: who asks may not manage secrets
	Configured bool
	SignInURL  string // empty: somebody is signed in
	Databases  []databaseRow
	Plugins    []pluginRow
	Links      []link
}

func (homePage) file() string { return "home.html" }

type databaseRow struct{ Name, File, Size string }

func (s *site) home(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	page := homePage{
		basePage:   s.page(r, s.homeTitle()),
		notices:    s.noticesFor(r),
		SecretsURL: s.secretsURLFor(r),
		Configured: s.Vault.Configured(),
		Databases:  s.databaseRows(),
		Plugins:    s.homePlugins(),
		Links:      s.homeLinks(),
	}
	page.BodyClass = "index"
	page.Crumbs = nil
	if !r.signedIn() {
		page.SignInURL = s.url("/-/sign-in")
	}
	return s.show(w, r, page)
}

// homePlugins are the plugins of this host, as everybody may know them.
func (s *site) homePlugins() []pluginRow {
	var rows []pluginRow
	for _, p := range s.sortedPlugins() {
		rows = append(rows, pluginFacts(p))
	}
	return rows
}

func (s *site) homeTitle() string {
	if len(s.Databases) == 0 {
		return "Datasette secrets"
	}
	names := make([]string, len(s.Databases))
	for i, db := range s.Databases {
		names[i] = db.Name
	}
	return "Datasette secrets: " + strings.Join(names, ", ")
}

func (s *site) homeLinks() []link {
	return []link{
		{s.url("/-/plugins"), "Plugins"},
		{s.url("/-/settings"), "Settings"},
		{s.url("/-/config"), "Configuration"},
		{s.url("/-/versions"), "Versions"},
		{s.url("/-/actor"), "Actor"},
	}
}

// secretsURLFor is the address of the secrets, for those who may go there.
func (s *site) secretsURLFor(r *request) string {
	if !s.Vault.MayManageSome(r.caller) {
		return ""
	}
	return s.url("/-/secrets")
}

func (s *site) databaseRows() []databaseRow {
	var rows []databaseRow
	for _, db := range s.Databases {
		rows = append(rows, databaseRow{db.Name, fileName(db.Path), fileSize(db.Size)})
	}
	return rows
}

// fileName is the last element of a path: where files lie on the machine is
// nobody's business here.
func fileName(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

func fileSize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}
