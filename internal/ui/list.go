package ui

import (
	"errors"
	"html/template"
	"net/http"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// filterFrom is how many secrets there must be for the filter box to help.
const filterFrom = 11

// listPage is /-/secrets.
type listPage struct {
	basePage
	notices
	Configured bool
	Filter     bool // show the filter box
	Query      string
	Total      int // secrets before filtering
	Shown      int

	Stored      template.HTML // table rows
	Unset       template.HTML // list items
	Environment template.HTML // list items

	StoredCount, UnsetCount, EnvironmentCount int
}

func (listPage) file() string { return "list.html" }

func (s *site) listSecrets(w http.ResponseWriter, r *request) error {
	all, err := s.Vault.List(r.Context(), r.caller)
	if err != nil && !errors.Is(err, secrets.ErrNotConfigured) {
		return err
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	page := listPage{
		basePage:   s.page(r, "Manage secrets"),
		notices:    s.noticesFor(r),
		Configured: s.Vault.Configured(),
		Filter:     len(all) >= filterFrom || query != "",
		Query:      query,
		Total:      len(all),
	}
	s.fillLists(r, &page, matching(all, query))
	return s.show(w, r, page)
}

// fillLists sorts the secrets into the page's three lists.
func (s *site) fillLists(r *request, page *listPage, all []*vault.Secret) {
	var stored, unset, environment []*vault.Secret
	for _, v := range all {
		switch v.State {
		case vault.StateEnvironment:
			environment = append(environment, v)
		case vault.StateSet:
			stored = append(stored, v)
		default:
			unset = append(unset, v)
		}
	}
	var ids []string
	for _, v := range all {
		ids = append(ids, v.UpdatedBy, v.LastUsedBy, v.DeletedBy)
	}
	people := s.namesOf(r, ids)
	page.Shown = len(all)
	page.StoredCount, page.Stored = len(stored), s.storedRows(stored, people)
	page.UnsetCount, page.Unset = len(unset), s.unsetItems(unset, people)
	page.EnvironmentCount, page.Environment = len(environment), s.environmentItems(environment)
}

// matching returns the secrets in whose name, note or description the query
// occurs. The empty one occurs in all.
func matching(all []vault.Secret, query string) []*vault.Secret {
	query = strings.ToLower(query)
	found := make([]*vault.Secret, 0, len(all))
	for i := range all {
		v := &all[i]
		if query == "" || strings.Contains(strings.ToLower(v.Name+"\n"+v.Note+"\n"+v.Declaration.Description), query) {
			found = append(found, v)
		}
	}
	return found
}
