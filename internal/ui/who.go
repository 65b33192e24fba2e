package ui

import (
	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// secretWho is who may do what with a secret.
type secretWho struct {
	Programs []programRow
	Listed   bool // the secret has a list of programs
	Use      whoRules
	Manage   whoRules
	You      bool   // plugins may use the secret on behalf of who looks at the page
	YouRule  string // that decided
	Asserted bool   // a plugin's word for an actor counts
}

// programRow is a plugin or client that has to do with a secret.
type programRow struct {
	Kind, Name string
	URL        string // of the page of its kind
	May        bool
	Rule       string // that decided
}

// whoRules say which actors may do something.
type whoRules struct {
	Rules     []whoRule
	Otherwise string // who may, without any rule
}

type whoRule struct {
	Rule     string // as JSON
	Place    string // in the configuration file
	Replaced bool   // by the one of the secret
}

// who says the same as the commands explain and who-can.
func (s *site) who(r *request, name string) (secretWho, error) {
	use, err := s.Vault.WhoCan(r.Context(), r.caller, access.DatasetteSecret, name)
	if err != nil {
		return secretWho{}, err
	}
	manage, err := s.Vault.WhoCan(r.Context(), r.caller, access.ManageSecrets, name)
	if err != nil {
		return secretWho{}, err
	}
	you, err := s.Vault.Explain(r.Context(), r.caller, vault.Question{
		Action: access.DatasetteSecret, Secret: name,
		Caller: secrets.Caller{Actor: r.caller.Actor, Proof: r.caller.Proof},
	})
	if err != nil {
		return secretWho{}, err
	}
	who := secretWho{
		Listed: use.Listed, Use: newWhoRules(use), Manage: newWhoRules(manage),
		You: you.Allowed, YouRule: you.Reason, Asserted: use.TrustsAsserted,
	}
	for _, p := range use.Programs {
		row := programRow{Kind: "plugin", Name: p.Plugin, URL: s.url("/-/plugins"), May: p.May, Rule: capitalize(p.Rule)}
		if p.Client != "" {
			row.Kind, row.Name, row.URL = "client", p.Client, ""
		}
		who.Programs = append(who.Programs, row)
	}
	return who, nil
}

func newWhoRules(h vault.Holders) whoRules {
	all := whoRules{Otherwise: h.Otherwise}
	for _, b := range h.Blocks {
		all.Rules = append(all.Rules, whoRule{string(access.Text(b.Rule)), b.Place, b.Replaced})
	}
	return all
}

// seesSecret tells of any secret whether who asks may see its page.
func (s *site) seesSecret(r *request) func(name string) bool {
	return func(name string) bool { return s.Vault.MayManage(r.caller, name) }
}
