package api

import (
	"net/http"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// declarationJSON is a declaration.
type declarationJSON struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ObtainURL   string `json:"obtain_url,omitempty"`
	ObtainLabel string `json:"obtain_label,omitempty"`
	Pattern     string `json:"pattern,omitempty"`
	Example     string `json:"example,omitempty"`
	Multiline   bool   `json:"multiline,omitempty"`
	Prefix      int    `json:"redact_prefix,omitempty"`
	Suffix      int    `json:"redact_suffix,omitempty"`
}

func (d declarationJSON) declaration() secrets.Declaration {
	return secrets.Declaration{
		Name: d.Name, Description: d.Description, ObtainURL: d.ObtainURL, ObtainLabel: d.ObtainLabel,
		Pattern: d.Pattern, Example: d.Example, Multiline: d.Multiline,
		Redact: secrets.Redact{Prefix: d.Prefix, Suffix: d.Suffix},
	}
}

func newDeclarationJSON(d secrets.Declaration) declarationJSON {
	return declarationJSON{
		Name: d.Name, Description: d.Description, ObtainURL: d.ObtainURL, ObtainLabel: d.ObtainLabel,
		Pattern: d.Pattern, Example: d.Example, Multiline: d.Multiline,
		Prefix: d.Redact.Prefix, Suffix: d.Redact.Suffix,
	}
}

// declarations answers with what a client declared.
func (s *site) declarations(w http.ResponseWriter, r *request) error {
	if _, err := r.query(""); err != nil {
		return err
	}
	declared, err := s.Vault.Declared(r.caller)
	if err != nil {
		return err
	}
	writeDeclared(w, declared)
	return nil
}

// declaredJSON is a declaration and what became of it.
type declaredJSON struct {
	Declaration declarationJSON    `json:"declaration"`
	State       vault.RequestState `json:"state"`
}

func writeDeclared(w http.ResponseWriter, declared []vault.Declared) {
	list := make([]declaredJSON, len(declared))
	for i, d := range declared {
		list[i] = declaredJSON{newDeclarationJSON(d.Declaration), d.State}
	}
	writeJSON(w, http.StatusOK, encode(map[string]any{"declarations": list}))
}

func (s *site) declare(w http.ResponseWriter, r *request) error { return s.declareAll(w, r, false) }

func (s *site) declareMore(w http.ResponseWriter, r *request) error { return s.declareAll(w, r, true) }

// declareAll says which secrets a client needs, instead of or beside what it
// said before.
func (s *site) declareAll(w http.ResponseWriter, r *request, more bool) error {
	if _, err := r.query(""); err != nil {
		return err
	}
	var body struct {
		Declarations *[]declarationJSON `json:"declarations"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	if body.Declarations == nil {
		return errJSON("lacks the field declarations")
	}
	var ds []secrets.Declaration
	for _, d := range *body.Declarations {
		ds = append(ds, d.declaration())
	}
	declared, err := s.Vault.DeclareClient(r.Context(), r.caller, ds, more)
	if err != nil {
		return err
	}
	writeDeclared(w, declared)
	return nil
}
