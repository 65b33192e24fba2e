package vault

import (
	"context"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// maxDecisions is how many decisions about a plugin are shown.
const maxDecisions = 100

// Plugin is what administrators may know of a plugin that introduced itself,
// or was turned off before it did. Times are UTC text of the form
// 2006-01-02 15:04:05, empty if unknown.
type Plugin struct {
	Name        string
	Hash        string // of its program; empty if it never introduced itself
	Version     string
	FirstSeenAt string
	SeenAt      string // when it last introduced itself
	Disabled    bool
	DisabledAt  string
	DisabledBy  string
	Requests    []PluginRequest // oldest first
}

// PluginRequest is a request and what became of it.
type PluginRequest struct {
	Request
	State     RequestState
	Asked     bool     // the plugin asks for it as it is now
	HeldBy    []string // other plugins that the secret is granted to, oldest first
	Delicate  bool     // it has to be named to be approved: a share, or a privileged hook
	AskedAt   string
	DecidedAt string
	DecidedBy string // empty while pending, and for what was granted on first use
	LeftOut   bool   // the lists of the secret are for others, so that a grant gives nothing
}

// PluginDecision is one decision about a plugin.
type PluginDecision struct {
	Time     string // UTC, as in Plugin
	ActorID  string // empty for what was granted on first use
	Proof    secrets.Proof
	Decision string  // "first-use", "approve", "share", "refuse", "disable" or "enable"
	Request  Request // the zero Request for a decision about the whole plugin
	Hash     string  // of the plugin's program at that time
}

// Plugins returns every plugin that the file knows, sorted by name, as of the
// last decision or Refresh. It answers from memory.
func (v *Vault) Plugins(_ context.Context, caller secrets.Caller) ([]Plugin, error) {
	if err := v.authorizePlugins(caller); err != nil {
		return nil, err
	}
	all := v.approvals.Load()
	var plugins []Plugin
	for _, name := range all.names {
		p := all.describe(name)
		for i, r := range p.Requests {
			p.Requests[i].LeftOut = r.Kind == RequestSecret && v.leftOut(name, r.Name)
		}
		plugins = append(plugins, p)
	}
	return plugins, nil
}

func (all *approvals) describe(name string) Plugin {
	a := all.plugins[name]
	p := Plugin{
		Name: name, Hash: a.row.Hash, Version: a.row.Version,
		FirstSeenAt: a.row.FirstSeenAt, SeenAt: a.row.SeenAt,
		Disabled: a.disabled(), DisabledAt: a.row.DisabledAt, DisabledBy: a.row.DisabledBy,
	}
	for _, row := range all.requests {
		if row.Plugin != name {
			continue
		}
		r := requestOf(row)
		request := PluginRequest{
			Request: r, State: RequestState(row.State), Asked: a.asked[r], Delicate: !all.trusted(name, r),
			AskedAt: row.AskedAt, DecidedAt: row.DecidedAt, DecidedBy: row.DecidedBy,
		}
		if r.Kind == RequestSecret {
			request.HeldBy = all.heldByOthers(name, r.Name)
		}
		p.Requests = append(p.Requests, request)
	}
	return p
}

// PluginDecisions returns the latest decisions about a plugin, newest first.
func (v *Vault) PluginDecisions(ctx context.Context, caller secrets.Caller, plugin string) ([]PluginDecision, error) {
	if err := v.authorizePlugins(caller); err != nil {
		return nil, err
	}
	var decisions []PluginDecision
	err := v.db.View(ctx, func(tx *db.Tx) error {
		rows, err := tx.PluginDecisions(plugin, maxDecisions)
		for _, row := range rows {
			decisions = append(decisions, PluginDecision{
				Time: row.Time, ActorID: row.ActorID, Proof: secrets.Proof(row.Proof), Decision: row.Decision,
				Request: Request{RequestKind(row.Kind), row.Name}, Hash: row.Hash,
			})
		}
		return err
	})
	return decisions, err
}
