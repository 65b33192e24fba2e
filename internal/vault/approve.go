package vault

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// RequestKind is what sort of thing a plugin asks for.
type RequestKind string

// The kinds of request.
const (
	RequestSecret RequestKind = "secret" // to read the secret of that name
	RequestHook   RequestKind = "hook"   // to serve the host in that way
)

// The hooks that a plugin may ask for.
const (
	HookValidator     = "validator"     // tries out values for administrators
	HookMenu          = "menu"          // adds links to the menu
	HookActors        = "actors"        // knows people by their ids
	HookAuthenticator = "authenticator" // says who is signed in; privileged
	HookHTTP          = "http"          // has pages of its own
)

// Request is one thing that a plugin asks for.
type Request struct {
	Kind RequestKind
	Name string // a secret's name, or a hook's word
}

// String names a request for people, for instance "secret API_KEY".
func (r Request) String() string { return string(r.Kind) + " " + r.Name }

// RequestState is what became of a request.
type RequestState string

// The states of a request.
const (
	RequestGranted RequestState = "granted"
	RequestPending RequestState = "pending" // nobody decided yet
	RequestRefused RequestState = "refused"
)

// The words for decisions.
const (
	decisionFirstUse = "first-use" // granted because the plugin was new
	decisionApprove  = "approve"
	decisionShare    = "share" // approve, of a secret that another plugin holds
	decisionRefuse   = "refuse"
	decisionDisable  = "disable"
	decisionEnable   = "enable"
)

// pluginName is what a plugin may be called.
var pluginName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// privileged reports whether a hook has to be approved even on first use: who
// signs people in can be anybody.
func privileged(hook string) bool { return hook == HookAuthenticator }

// MayServe reports whether a plugin is approved for a hook. It answers from
// memory.
func (v *Vault) MayServe(plugin, hook string) bool {
	return v.granted(plugin, Request{RequestHook, hook})
}

// granted reports whether a plugin may do what it asked for.
func (v *Vault) granted(plugin string, r Request) bool {
	all := v.approvals.Load()
	return all.granted(plugin, r) || v.trustPlugins && all.undecidedAbout(plugin, r)
}

// PluginDisabled reports whether an administrator turned a plugin off. It
// answers from memory.
func (v *Vault) PluginDisabled(plugin string) bool {
	a := v.approvals.Load().plugins[plugin]
	return a != nil && a.disabled()
}

// Known returns how a plugin introduced itself when it last did, provided that
// its program had this hash. It answers from memory.
func (v *Vault) Known(plugin, hash string) (Introduction, bool) {
	a := v.approvals.Load().plugins[plugin]
	if a == nil || hash == "" || a.row.Hash != hash {
		return Introduction{}, false
	}
	return Introduction{
		Plugin: plugin, Hash: hash, Version: a.row.Version,
		Declarations: slices.Clone(a.declarations), Hooks: slices.Clone(a.hooks),
	}, true
}

// Pending returns how many requests of each plugin nobody decided yet, for
// callers who may decide; plugins without any are left out. It answers from
// memory.
func (v *Vault) Pending(caller secrets.Caller) map[string]int {
	counts := map[string]int{}
	if v.authorizePlugins(caller) != nil {
		return counts
	}
	all := v.approvals.Load()
	for _, r := range all.requests {
		if r.State == string(RequestPending) && !isClient(r.Plugin) && all.plugins[r.Plugin].asked[requestOf(r)] {
			counts[r.Plugin]++
		}
	}
	return counts
}

// Approve grants requests of a plugin and returns what it granted. Without
// any, everything pending is meant but what trust on first use leaves out too:
// secrets that another plugin holds, and privileged hooks. Those are granted
// only by name.
func (v *Vault) Approve(ctx context.Context, caller secrets.Caller, plugin string, requests ...Request) ([]Request, error) {
	return v.decide(ctx, caller, plugin, requests, RequestGranted)
}

// Refuse refuses requests of a plugin, granted ones included, and returns what
// it refused. Without any, everything pending is meant. What is refused stays
// so until it is approved.
func (v *Vault) Refuse(ctx context.Context, caller secrets.Caller, plugin string, requests ...Request) ([]Request, error) {
	return v.decide(ctx, caller, plugin, requests, RequestRefused)
}

func (v *Vault) decide(ctx context.Context, caller secrets.Caller, plugin string, requests []Request, state RequestState) (decided []Request, err error) {
	if err := v.authorizeDecision(caller); err != nil {
		return nil, err
	}
	err = v.settle(ctx, func(tx *db.Tx) error {
		decided = nil
		all, err := readApprovals(tx)
		if err != nil {
			return err
		}
		a := all.plugins[plugin]
		if a == nil || isClient(plugin) {
			return unknownPlugin(plugin)
		}
		chosen := requests
		if len(chosen) == 0 {
			chosen = all.undecided(plugin, state == RequestGranted)
		}
		for _, r := range chosen {
			now, asked := a.states[r]
			if !asked {
				return fmt.Errorf("%w: the plugin %s never asked for the %s", secrets.ErrNotFound, plugin, r)
			}
			if now == state {
				continue
			}
			if err := recordDecision(tx, caller, all.decision(a, r, state)); err != nil {
				return err
			}
			if err := tx.DecidePluginRequest(plugin, string(r.Kind), r.Name, string(state), caller.Actor.ID()); err != nil {
				return err
			}
			decided = append(decided, r)
		}
		return nil
	})
	return decided, err
}

// DisablePlugin turns a plugin off until EnablePlugin. It may read nothing
// from that moment; to stop it is for whoever runs it. A plugin may be turned
// off before it ever introduced itself.
func (v *Vault) DisablePlugin(ctx context.Context, caller secrets.Caller, plugin string) error {
	if err := v.authorizeDecision(caller); err != nil {
		return err
	}
	if !pluginName.MatchString(plugin) {
		return unknownPlugin(plugin)
	}
	return v.settle(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err != nil || all.plugins[plugin].disabled() {
			return err
		}
		if err := tx.DisablePlugin(plugin, caller.Actor.ID()); err != nil {
			return err
		}
		return recordDecision(tx, caller, db.PluginDecision{Plugin: plugin, Decision: decisionDisable, Hash: all.hash(plugin)})
	})
}

// EnablePlugin takes DisablePlugin back.
func (v *Vault) EnablePlugin(ctx context.Context, caller secrets.Caller, plugin string) error {
	if err := v.authorizeDecision(caller); err != nil {
		return err
	}
	if !pluginName.MatchString(plugin) {
		return unknownPlugin(plugin)
	}
	return v.settle(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err != nil || !all.plugins[plugin].disabled() {
			return err
		}
		if err := tx.EnablePlugin(plugin); err != nil {
			return err
		}
		return recordDecision(tx, caller, db.PluginDecision{Plugin: plugin, Decision: decisionEnable, Hash: all.hash(plugin)})
	})
}

// recordDecision adds a decision of the caller to those about plugins, and to
// the log.
func recordDecision(tx *db.Tx, caller secrets.Caller, d db.PluginDecision) error {
	d.ActorID, d.Proof = caller.Actor.ID(), string(caller.Proof)
	a := act{action: d.Decision, plugin: d.Plugin}
	switch RequestKind(d.Kind) {
	case RequestSecret:
		a.name = d.Name
	case RequestHook:
		a.reason = "hook " + d.Name
	}
	record(tx, caller, a)
	return tx.RecordPluginDecision(d)
}

func unknownPlugin(plugin string) error {
	return fmt.Errorf("%w: no plugin called %q has introduced itself to this database", secrets.ErrNotFound, plugin)
}

// authorizePlugins allows a look at the plugins' requests.
func (v *Vault) authorizePlugins(caller secrets.Caller) error {
	_, err := authorized(access.ManagePlugins, v.considerPlugins(caller))
	return err
}

func (v *Vault) considerPlugins(caller secrets.Caller) []access.Finding {
	switch {
	case caller.Plugin != "" || caller.Client != "":
		return []access.Finding{{Verdict: access.Denies, Rule: "plugins and clients do not decide about plugins"}}
	case caller.Proof == secrets.ProofLocal:
		return []access.Finding{{Verdict: access.Allows, Rule: "who runs commands on the machine has the file itself"}}
	case caller.Proof == secrets.ProofVouched:
		// A plugin could approve itself, by way of somebody whom it signs in.
		return []access.Finding{{Verdict: access.Denies, Rule: "whom a plugin signed in does not decide about plugins"}}
	}
	return v.policy.Consider(caller.Actor, access.ManagePlugins)
}

// authorizeDecision allows decisions about plugins. They need somebody to name.
func (v *Vault) authorizeDecision(caller secrets.Caller) error {
	if err := v.authorizePlugins(caller); err != nil {
		return err
	}
	if caller.Actor.ID() == "" {
		return fmt.Errorf("%w: you must be signed in to decide about a plugin", secrets.ErrDenied)
	}
	return nil
}

// settle commits what act does about plugins, and makes it count from the
// moment it is kept.
func (v *Vault) settle(ctx context.Context, act func(*db.Tx) error) error {
	v.settling.Lock()
	defer v.settling.Unlock()
	var all *approvals
	err := v.commit(ctx, func(tx *db.Tx) (err error) {
		if err := act(tx); err != nil {
			return err
		}
		all, err = readApprovals(tx)
		return err
	})
	if err == nil {
		v.use(all)
	}
	return err
}

// Refresh makes decisions count that another process committed to the same
// file. It costs almost nothing when there are none.
func (v *Vault) Refresh(ctx context.Context) error {
	v.settling.Lock()
	defer v.settling.Unlock()
	changes, err := v.db.Changes(ctx)
	if err != nil || (changes == v.changes && v.approvals.Load().read) {
		return err
	}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		all, err := readApprovals(tx)
		if err == nil {
			v.use(all)
		}
		return err
	})
	if err == nil {
		v.changes = changes // from before reading: what came in between is read again
	}
	return err
}

// use makes approvals count. v.settling is held.
func (v *Vault) use(all *approvals) {
	v.approvals.Store(all)
	plugins := maps.Clone(v.declarations.Load().plugins)
	maps.DeleteFunc(plugins, func(holder string, _ []secrets.Declaration) bool { return isClient(holder) })
	maps.Copy(plugins, all.declaredByClients())
	v.declarations.Store(newDeclarations(plugins, all.holders, v.leftOut))
	v.noteChange()
}

// requestsOf returns what a plugin asks for: its secrets in their order, then
// its hooks.
func requestsOf(declarations []secrets.Declaration, hooks []string) []Request {
	requests := make([]Request, 0, len(declarations)+len(hooks))
	for _, d := range declarations {
		requests = append(requests, Request{RequestSecret, d.Name})
	}
	for _, hook := range hooks {
		requests = append(requests, Request{RequestHook, hook})
	}
	return requests
}

// checkHooks returns the hooks sorted, each once.
func checkHooks(hooks []string) ([]string, error) {
	known := []string{HookValidator, HookMenu, HookActors, HookAuthenticator, HookHTTP}
	for _, hook := range hooks {
		if !slices.Contains(known, hook) {
			return nil, fmt.Errorf("%w: there is no hook %q; there are %s", secrets.ErrInvalid, hook, strings.Join(known, ", "))
		}
	}
	hooks = slices.Clone(hooks)
	slices.Sort(hooks)
	return slices.Compact(hooks), nil
}
