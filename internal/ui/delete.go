package ui

import (
	"fmt"
	"html/template"
	"net/http"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// deletePage asks before a secret is deleted.
type deletePage struct {
	basePage
	notices
	Name     string
	Version  int64
	UsedBy   []string
	LastUsed when
	Action   template.HTMLAttr
	Back     template.HTMLAttr
}

func (deletePage) file() string { return "delete.html" }

func (s *site) confirmDelete(w http.ResponseWriter, r *request) error {
	v, err := s.deletable(r)
	if err != nil {
		return err
	}
	return s.show(w, r, deletePage{
		basePage: s.page(r, "Delete secret: "+v.Name, s.secretsCrumb()),
		notices:  s.noticesFor(r),
		Name:     v.Name,
		Version:  v.Version,
		UsedBy:   v.DeclaredBy,
		LastUsed: newWhen(v.LastUsedAt, v.LastUsedBy).named(s.namesOf(r, []string{v.LastUsedBy})),
		Action:   attribute("action", s.secretURL(v.Name, "/-/delete")),
		Back:     attribute("href", s.secretURL(v.Name, "")),
	})
}

func (s *site) deleteSecret(w http.ResponseWriter, r *request) error {
	v, err := s.deletable(r)
	if err != nil {
		return err
	}
	if err := s.Vault.Delete(r.Context(), r.caller, v.Name); err != nil {
		return err
	}
	r.flash(signing.Info, fmt.Sprintf("Secret %s deleted", v.Name))
	return s.redirect(w, r, s.url("/-/secrets"))
}

// deletable is the secret of the address, if it has a stored value.
func (s *site) deletable(r *request) (vault.Secret, error) {
	v, _, err := s.changeable(r, vault.ActionDelete)
	if err == nil && !isStored(v) {
		err = fmt.Errorf("%w: %s has no stored value, so there is nothing to delete", secrets.ErrNotSet, v.Name)
	}
	return v, err
}
