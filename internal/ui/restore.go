package ui

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// restorePage asks before an old version becomes the newest again.
type restorePage struct {
	basePage
	notices
	Name    string
	Version int64
	Note    string
	Created when
	Newest  int64
	Action  template.HTMLAttr
	Back    template.HTMLAttr
}

func (restorePage) file() string { return "restore.html" }

func (s *site) confirmRestore(w http.ResponseWriter, r *request) error {
	v, versions, err := s.changeable(r, vault.ActionRestore)
	if err != nil {
		return err
	}
	old, err := findVersion(versions, v.Name, r.URL.Query().Get("version"))
	if err != nil {
		return err
	}
	return s.show(w, r, restorePage{
		basePage: s.page(r, "Restore secret: "+v.Name, s.secretsCrumb()),
		notices:  s.noticesFor(r),
		Name:     v.Name,
		Version:  old.Version,
		Note:     old.Note,
		Created:  newWhen(old.CreatedAt, old.CreatedBy).named(s.namesOf(r, []string{old.CreatedBy})),
		Newest:   v.Version,
		Action:   attribute("action", s.secretURL(v.Name, "/-/restore")),
		Back:     attribute("href", s.secretURL(v.Name, "")),
	})
}

// findVersion is one of the versions that the page of the secret lists.
func findVersion(versions []vault.Version, name, text string) (vault.Version, error) {
	number, err := versionNumber(text)
	if err != nil {
		return vault.Version{}, err
	}
	for _, v := range versions {
		if v.Version == number && !v.Deleted && !v.Current {
			return v, nil
		}
	}
	return vault.Version{}, fmt.Errorf("%w: %s has no older version %d that could be restored", secrets.ErrNotFound, name, number)
}

func versionNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("%w: say which version to restore, for instance ?version=1", secrets.ErrInvalid)
	}
	return number, nil
}

func (s *site) restoreSecret(w http.ResponseWriter, r *request) error {
	if _, _, err := s.changeable(r, vault.ActionRestore); err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	number, err := versionNumber(fields["version"])
	if err != nil {
		return err
	}
	newest, err := s.Vault.Restore(r.Context(), r.caller, r.name(), number)
	if err != nil {
		return err
	}
	r.flash(signing.Info, fmt.Sprintf("Secret %s restored: version %d is now version %d", r.name(), number, newest))
	return s.redirect(w, r, s.secretURL(r.name(), ""))
}
