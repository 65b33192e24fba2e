package ui

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// change is what the form of a secret's page says.
type change struct {
	value secrets.Value
	note  string
}

// changeSecret stores a new version of a secret or, when the value is left
// blank, changes the note of the newest.
func (s *site) changeSecret(w http.ResponseWriter, r *request) error {
	v, _, err := s.changeable(r, vault.ActionPut)
	if err != nil {
		return err
	}
	fields, err := s.readForm(w, r)
	if err != nil {
		return err
	}
	c := newChange(fields, v.Declaration.Multiline)
	switch {
	case codePoints(c.note) > vault.MaxNote:
		return s.again(w, r, "Note is too long")
	case c.value.Len() > 0:
		return s.putSecret(w, r, v, c)
	case isStored(v):
		return s.annotateSecret(w, r, v, c)
	}
	return s.again(w, r, "Secret is required")
}

// changeable is the secret of the address, for somebody who may change it. An
// allow block can let anybody manage secrets, but a change needs a name to be
// recorded under.
//
// A form of somebody who may not is an attempt, which the log tells of, with the
// name of the action. Not every one by nobody in particular is worth an entry:
// strangers would fill the log.
func (s *site) changeable(r *request, action string) (vault.Secret, []vault.Version, error) {
	v, versions, err := s.Vault.Show(r.Context(), r.caller, r.name())
	refused := errors.Is(err, secrets.ErrDenied)
	if err == nil && !r.signedIn() {
		refused, err = true, denied("You must be signed in to change a secret", "")
	}
	if refused && r.Method == http.MethodPost && (r.signedIn() || s.guesses.AllowN(s.Now(), 1)) {
		err = s.Vault.NoteRefused(r.Context(), r.caller, action, r.name(), err)
	}
	return v, versions, err
}

// newChange reads the form. White space around a value is nearly always an
// accident of copying, so it goes unless the box says otherwise.
//
// A browser sends the line ends of a field as CR LF, whatever was pasted. Where
// values are known to have several lines, they are turned back into LF, which
// is what a script in the page would see, and what private keys have.
func newChange(fields form, multiline bool) change {
	text := fields["secret"]
	if multiline {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	}
	// The box is ticked at first for values of several lines; an empty field
	// is empty all the same.
	if stripped := pythonStrip(text); !fields.ticked("keep_whitespace") || multiline && stripped == "" {
		text = stripped
	}
	return change{value: secrets.NewValue(text), note: fields["note"]}
}

func (s *site) putSecret(w http.ResponseWriter, r *request, v vault.Secret, c change) error {
	_, err := s.Vault.Put(r.Context(), r.caller, v.Name, c.value, c.note)
	if errors.Is(err, vault.ErrForm) {
		return s.again(w, r, sentence(err, secrets.ErrInvalid))
	}
	if err != nil {
		return err
	}
	r.flash(signing.Info, fmt.Sprintf("Secret %s updated", v.Name))
	if v.State != vault.StateEnvironment { // else the value in use is still another
		s.flashTests(r, v.Name)
	}
	return s.redirect(w, r, s.url("/-/secrets"))
}

// annotateSecret is silent about a note that stayed or was cleared, as
// Datasette's plugin is.
func (s *site) annotateSecret(w http.ResponseWriter, r *request, v vault.Secret, c change) error {
	changed, err := s.Vault.Annotate(r.Context(), r.caller, v.Name, c.note)
	if err != nil {
		return err
	}
	if changed && c.note != "" {
		r.flash(signing.Info, fmt.Sprintf("Note updated: %s", v.Name))
	}
	return s.redirect(w, r, s.url("/-/secrets"))
}

// again sends the browser back to an empty form with a reason. What was typed
// is not sent back: it might be the secret.
func (s *site) again(w http.ResponseWriter, r *request, reason string) error {
	r.flash(signing.Error, reason)
	return s.redirect(w, r, s.url(r.path))
}
