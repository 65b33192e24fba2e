package host

import (
	"context"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// PluginReport is what an operator may know of a plugin. Texts are empty where
// there is nothing to tell, and times are UTC, as in the database.
type PluginReport struct {
	Name        string          `json:"name"`
	State       string          `json:"state"`      // of secrets.PluginState, or one of those below
	Version     string          `json:"version"`    // as the plugin states it
	Hash        string          `json:"hash"`       // of its program
	Restarts    int             `json:"restarts"`   // since the host started
	LastError   string          `json:"last_error"` // why it last failed
	FirstSeenAt string          `json:"first_seen_at"`
	SeenAt      string          `json:"seen_at"`     // when it last introduced itself
	DisabledAt  string          `json:"disabled_at"` // when an administrator turned it off
	DisabledBy  string          `json:"disabled_by"`
	Requests    []RequestReport `json:"requests"` // oldest first
}

// The states that a plugin's report has besides those of secrets.PluginState.
const (
	StateAbsent  = "absent"  // its file is not in the folder of plugins
	StateUnknown = "unknown" // no host runs plugins, so nobody knows
)

// RequestReport is something that a plugin asks for, and what became of it.
type RequestReport struct {
	Request
	State     string   `json:"state"`    // "granted", "pending" or "refused"
	Asked     bool     `json:"asked"`    // the plugin asks for it as it is now
	HeldBy    []string `json:"held_by"`  // other plugins that may read the secret
	Delicate  bool     `json:"delicate"` // it is approved only by name
	LeftOut   bool     `json:"left_out"` // the rules of the secret keep it for others, whatever is decided
	AskedAt   string   `json:"asked_at"`
	DecidedAt string   `json:"decided_at"`
	DecidedBy string   `json:"decided_by"` // empty for what was granted on first use
}

// reports tells of every plugin that is known or there, sorted by name.
func (d decider) reports(ctx context.Context, caller secrets.Caller) ([]PluginReport, error) {
	known, err := d.door.Plugins(ctx, caller)
	if err != nil {
		return nil, err
	}
	all := map[string]*PluginReport{}
	for _, p := range known {
		all[p.Name] = report(p)
	}
	if d.running != nil {
		for _, p := range all {
			p.State = StateAbsent
		}
		for _, status := range d.running.Status() {
			if all[status.Name] == nil {
				all[status.Name] = &PluginReport{Name: status.Name, Requests: []RequestReport{}}
			}
			all[status.Name].update(status)
		}
	}
	reports := []PluginReport{}
	for _, p := range all {
		reports = append(reports, *p)
	}
	slices.SortFunc(reports, func(a, b PluginReport) int { return strings.Compare(a.Name, b.Name) })
	return reports, nil
}

func report(p vault.Plugin) *PluginReport {
	r := &PluginReport{
		Name: p.Name, State: StateUnknown, Version: p.Version, Hash: p.Hash,
		FirstSeenAt: p.FirstSeenAt, SeenAt: p.SeenAt, DisabledAt: p.DisabledAt, DisabledBy: p.DisabledBy,
		Requests: []RequestReport{},
	}
	if p.Disabled {
		r.State = string(secrets.PluginDisabled)
	}
	for _, request := range p.Requests {
		r.Requests = append(r.Requests, RequestReport{
			Request: Request{string(request.Kind), request.Name}, State: string(request.State), Asked: request.Asked,
			HeldBy: append([]string{}, request.HeldBy...), Delicate: request.Delicate, LeftOut: request.LeftOut,
			AskedAt: request.AskedAt, DecidedAt: request.DecidedAt, DecidedBy: request.DecidedBy,
		})
	}
	return r
}

func (r *PluginReport) update(status secrets.PluginStatus) {
	r.State, r.Restarts, r.LastError = string(status.State), status.Restarts, status.LastError
	if status.Version != "" {
		r.Version = status.Version
	}
	if status.Hash != "" {
		r.Hash = status.Hash
	}
}
