package api

import (
	"net/http"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// clientJSON is a client as it knows itself.
type clientJSON struct {
	Name      string     `json:"name"`
	Write     bool       `json:"write"`
	ExpiresAt *time.Time `json:"expires_at"`
	Host      string     `json:"host"`
}

// client tells a client who it is.
func (s *site) client(w http.ResponseWriter, r *request) error {
	if _, err := r.query(""); err != nil {
		return err
	}
	self, err := s.Vault.Self(r.caller)
	if err != nil {
		return err
	}
	c := clientJSON{Name: self.Name, Write: self.Write, Host: s.Version}
	if until, err := time.Parse(time.DateTime, self.ExpiresAt); err == nil {
		c.ExpiresAt = &until
	}
	writeJSON(w, http.StatusOK, encode(c))
	return nil
}

// secretJSON is a secret without its value.
type secretJSON struct {
	Name     string             `json:"name"`
	State    vault.RequestState `json:"state"`
	Declared bool               `json:"declared"`
	Set      bool               `json:"set"`
	Source   *vault.Source      `json:"source"`
	Version  *int64             `json:"version"`
}

// list answers with the secrets of a client.
func (s *site) list(w http.ResponseWriter, r *request) error {
	if err := r.forActor(); err != nil {
		return err
	}
	all, err := s.Vault.ClientSecrets(r.Context(), r.caller)
	if err != nil {
		return err
	}
	list := make([]secretJSON, len(all))
	for i, one := range all {
		list[i] = secretJSON{
			Name: one.Name, State: one.State, Declared: one.Declared, Set: one.Set, Version: versionOrNull(one.Version),
		}
		if one.Set {
			list[i].Source = &one.Source
		}
	}
	writeJSON(w, http.StatusOK, encode(map[string]any{"secrets": list}))
	return nil
}
