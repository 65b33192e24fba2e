package ui

import "github.com/datasette-secrets/datasette-secrets/internal/access"

// notices is what people who manage secrets must know before they read on.
type notices struct {
	Unseal    string   // where a sealed host is unsealed; empty: it is not sealed
	Ephemeral bool     // what is stored is lost when the host stops
	Warnings  []string // from the start
}

// notices are for managers only: they tell how the host is run.
func (s *site) noticesFor(r *request) notices {
	if !s.allowed(r, access.ManageSecrets) {
		return notices{}
	}
	all := notices{Ephemeral: s.Ephemeral, Warnings: s.StartWarnings}
	if s.Vault.Sealed() {
		all.Unseal = s.url("/-/unseal")
	}
	return all
}
