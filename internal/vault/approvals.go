package vault

import (
	"encoding/json"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// approvals is everything that the file knows of plugins. It never changes: a
// decision makes a new one.
type approvals struct {
	read     bool                 // from a file; the first one is empty instead
	names    []string             // of plugins, sorted
	plugins  map[string]*approval // clients too, by clientHolder
	requests []db.PluginRequest   // oldest first; those of clients come after all others
	holders  map[string][]string  // secret → plugins and clients that it is granted to, oldest first
	clients  clients
}

// approval is what the file knows of one plugin.
type approval struct {
	row          db.Plugin
	declarations []secrets.Declaration // as it last introduced itself
	hooks        []string
	asked        map[Request]bool // by that introduction
	states       map[Request]RequestState
}

func readApprovals(tx *db.Tx) (*approvals, error) {
	rows, err := tx.Plugins()
	if err != nil {
		return nil, err
	}
	requests, err := tx.PluginRequests()
	if err != nil {
		return nil, err
	}
	all := &approvals{read: true, plugins: map[string]*approval{}, holders: map[string][]string{}}
	for _, row := range rows {
		all.names = append(all.names, row.Name)
		all.plugins[row.Name] = newApproval(row)
	}
	for _, r := range requests {
		all.addRequest(r)
	}
	if err := all.readClients(tx); err != nil {
		return nil, err
	}
	return all, nil
}

func (all *approvals) addRequest(r db.PluginRequest) {
	a := all.plugins[r.Plugin]
	if a == nil {
		return // somebody else wrote it; nobody made the plugin known
	}
	all.requests = append(all.requests, r)
	a.states[requestOf(r)] = RequestState(r.State)
	if isClient(r.Plugin) && a.disabled() {
		return // what is revoked holds nothing any more
	}
	if r.Kind == string(RequestSecret) && r.State == string(RequestGranted) {
		all.holders[r.Name] = append(all.holders[r.Name], r.Plugin)
	}
}

// newApproval takes lists that cannot be read for empty ones: what counts are
// the requests, and the next introduction mends them.
func newApproval(row db.Plugin) *approval {
	a := &approval{row: row, asked: map[Request]bool{}, states: map[Request]RequestState{}}
	var stored []storedDeclaration
	if json.Unmarshal([]byte(row.Declarations), &stored) != nil {
		stored = nil
	}
	if json.Unmarshal([]byte(row.Hooks), &a.hooks) != nil {
		a.hooks = nil
	}
	for _, d := range stored {
		a.declarations = append(a.declarations, d.declaration())
	}
	for _, r := range requestsOf(a.declarations, a.hooks) {
		a.asked[r] = true
	}
	return a
}

func requestOf(r db.PluginRequest) Request { return Request{RequestKind(r.Kind), r.Name} }

// disabled may be asked of nil, a plugin that is not known.
func (a *approval) disabled() bool { return a != nil && a.row.DisabledAt != "" }

// introduced reports whether the plugin ever introduced itself.
func (a *approval) introduced() bool { return a != nil && a.row.FirstSeenAt != "" }

func (all *approvals) granted(plugin string, r Request) bool {
	a := all.plugins[plugin]
	return a != nil && !a.disabled() && a.states[r] == RequestGranted
}

// undecidedAbout reports whether a plugin asks for something as it is now, and
// nobody decided about it.
func (all *approvals) undecidedAbout(plugin string, r Request) bool {
	a := all.plugins[plugin]
	return a != nil && !a.disabled() && a.asked[r] && a.states[r] == RequestPending
}

// hash is that of a plugin's program, or empty.
func (all *approvals) hash(plugin string) string {
	if a := all.plugins[plugin]; a != nil {
		return a.row.Hash
	}
	return ""
}

// heldByOthers returns the other plugins that a secret is granted to.
func (all *approvals) heldByOthers(plugin, secret string) []string {
	return slices.DeleteFunc(slices.Clone(all.holders[secret]), func(holder string) bool { return holder == plugin })
}

// trusted reports whether a request may be granted because nothing speaks
// against it.
func (all *approvals) trusted(plugin string, r Request) bool {
	if r.Kind == RequestHook {
		return !privileged(r.Name)
	}
	return len(all.heldByOthers(plugin, r.Name)) == 0
}

// undecided returns the pending requests of a plugin as it is now.
func (all *approvals) undecided(plugin string, onlyTrusted bool) []Request {
	var pending []Request
	a := all.plugins[plugin]
	for _, row := range all.requests {
		r := requestOf(row)
		if row.Plugin != plugin || a.states[r] != RequestPending || !a.asked[r] {
			continue
		}
		if !onlyTrusted || all.trusted(plugin, r) {
			pending = append(pending, r)
		}
	}
	return pending
}

// decision is the record of a request's new state.
func (all *approvals) decision(a *approval, r Request, state RequestState) db.PluginDecision {
	d := db.PluginDecision{
		Plugin: a.row.Name, Decision: decisionRefuse,
		Kind: string(r.Kind), Name: r.Name, Hash: a.row.Hash,
	}
	if state == RequestGranted {
		d.Decision = decisionApprove
		if r.Kind == RequestSecret && !all.trusted(a.row.Name, r) {
			d.Decision = decisionShare
		}
	}
	return d
}

// storedDeclaration is a declaration as the file keeps it.
type storedDeclaration struct {
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

func storeDeclaration(d secrets.Declaration) storedDeclaration {
	return storedDeclaration{
		Name: d.Name, Description: d.Description, ObtainURL: d.ObtainURL, ObtainLabel: d.ObtainLabel,
		Pattern: d.Pattern, Example: d.Example, Multiline: d.Multiline,
		Prefix: d.Redact.Prefix, Suffix: d.Redact.Suffix,
	}
}

func (s storedDeclaration) declaration() secrets.Declaration {
	return secrets.Declaration{
		Name: s.Name, Description: s.Description, ObtainURL: s.ObtainURL, ObtainLabel: s.ObtainLabel,
		Pattern: s.Pattern, Example: s.Example, Multiline: s.Multiline,
		Redact: secrets.Redact{Prefix: s.Prefix, Suffix: s.Suffix},
	}
}
