package access

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// ownBlock is where the rules of single secrets stand in the file.
const ownBlock = "plugins.datasette-secrets"

// trustPlace is where a plugin's word for an actor is made to count.
const trustPlace = ownBlock + ".trust-asserted-actors"

// SecretConfig is what the configuration says of one secret.
type SecretConfig struct {
	Permissions map[string]any // an action's name to the rule that replaces the global one
	// Plugins and Clients are the programs that the secret is for. Where one of
	// the lists is not nil, it is for nobody else.
	Plugins []string
	Clients []string
}

// secretRules are the rules of one secret. Their zero value is a secret
// without any.
type secretRules struct {
	path    string
	use     rule // datasette-secret
	manage  rule // manage-secrets
	listed  bool // there is a list of programs
	plugins []string
	clients []string
}

// SecretPath is where the rules of a secret stand in the file.
func SecretPath(name string) string { return ownBlock + ".secrets." + name }

// newSecretRules checks the rules of one secret. One that is there has to say
// something: what is left empty by accident must not open anything.
func newSecretRules(path string, c SecretConfig) (secretRules, error) {
	s := secretRules{
		path: path, listed: c.Plugins != nil || c.Clients != nil,
		plugins: slices.Clone(c.Plugins), clients: slices.Clone(c.Clients),
	}
	for _, action := range slices.Sorted(maps.Keys(c.Permissions)) {
		place := path + ".permissions." + action
		r, err := newRule(place, c.Permissions[action])
		if err == nil && r.block == nil {
			err = fmt.Errorf("%s: expected true, false or an allow block such as {id: root}; leave the key out to have permissions.%s count", place, action)
		}
		if err != nil {
			return secretRules{}, err
		}
		switch action {
		case DatasetteSecret:
			s.use = r
		case ManageSecrets:
			s.manage = r
		default:
			return secretRules{}, fmt.Errorf("%s.permissions: %q is no action about one secret; %s", path, clip(action), suggestion(action, secretActions()))
		}
	}
	return s, nil
}

func secretActions() []string {
	var names []string
	for _, a := range Actions() {
		if a.Secret {
			names = append(names, a.Name)
		}
	}
	return names
}

// ConsiderUse adds to all what each rule has to say on whether a secret may be
// used on behalf of a caller's actor. Whether the caller's program may have it is for
// [Policy.ConsiderProgram].
func (p *Policy) ConsiderUse(all []Finding, caller secrets.Caller, name string) []Finding {
	a := p.use
	r := p.secrets[name].use
	if r.block == nil {
		r = p.permissions[a.Name]
	}
	if caller.Actor == nil || p.believes(caller.Proof) {
		return p.findings(all, caller.Actor, a, r)
	}
	// Of this actor there is a word only. What the rules say of everybody holds
	// for it, and what they say of an actor does not.
	if r.block != nil {
		all = append(all, r.finding(caller.Actor))
	} else if a.Default && !p.defaultDeny {
		all = append(all, byDefault(a))
	}
	if r.looksAtActors() {
		all = append(all, unproven(caller, r))
	}
	return restrict(all, caller.Actor, a)
}

// unproven is what speaks against an actor of whom there is only a word, where
// a rule looks at actors.
func unproven(caller secrets.Caller, r rule) Finding {
	f := Finding{
		Verdict: Denies, Place: trustPlace, Turn: "if it were true, or the plugin proved who this actor is",
		Rule: "only the plugin's word says who this actor is, which is not enough for " + r.path,
	}
	if caller.Client != "" {
		f.Turn, f.Rule = "if it were true", "only the client's word says who this actor is, which is not enough for "+r.path
	}
	return f
}

// believes reports whether an actor that is known in this way is taken for the
// one that it says. What is not listed is not believed.
func (p *Policy) believes(proof secrets.Proof) bool {
	switch proof {
	case secrets.ProofLocal, secrets.ProofSignedIn, secrets.ProofToken, secrets.ProofVouched, secrets.ProofProven:
		return true
	case secrets.ProofAsserted:
		return p.trustAsserted
	}
	return false
}

// ConsiderProgram adds to all what the lists of a secret have to say on whether
// the caller's plugin or client may have it, whatever was granted. Without a list
// they say nothing.
func (p *Policy) ConsiderProgram(all []Finding, caller secrets.Caller, name string) []Finding {
	s := p.secrets[name]
	if !s.listed {
		return all
	}
	list, kind, program := s.plugins, "plugin", caller.Plugin
	if program == "" {
		list, kind, program = s.clients, "client", caller.Client
	}
	place := s.path + "." + kind + "s"
	if program != "" && slices.Contains(list, program) {
		return append(all, Finding{Verdict: Passes, Place: place, Rule: fmt.Sprintf("%s names the %s %s", place, kind, program)})
	}
	return append(all, Finding{
		Verdict: Denies, Place: place, Turn: "if it named " + program,
		Rule: fmt.Sprintf("%s does not name the %s %s", place, kind, program),
	})
}

// ConsiderManage is what each rule has to say on whether an actor may see and
// change one secret.
func (p *Policy) ConsiderManage(actor secrets.Actor, name string) []Finding {
	a, _ := find(ManageSecrets)
	r := p.secrets[name].manage
	if r.block == nil {
		r = p.permissions[a.Name]
	}
	return p.findings(nil, actor, a, r)
}

// ManagesAny answers whether an actor may manage secrets, all or some, and by
// which rule.
func (p *Policy) ManagesAny(actor secrets.Actor) Decision {
	decision := p.Decide(actor, ManageSecrets)
	if decision.Allowed {
		return decision
	}
	for _, name := range p.managed {
		if own := Conclude(ManageSecrets, p.ConsiderManage(actor, name)); own.Allowed {
			return own
		}
	}
	return decision
}

// Manages answers for any secret whether an actor may manage it, as
// ConsiderManage does.
func (p *Policy) Manages(actor secrets.Actor) func(name string) bool {
	others := p.Allowed(actor, ManageSecrets)
	return func(name string) bool {
		if p.secrets[name].manage.block == nil {
			return others
		}
		return Conclude(ManageSecrets, p.ConsiderManage(actor, name)).Allowed
	}
}

// Block is a rule about actors, as who-can shows it.
type Block struct {
	Place    string
	Rule     any  // true, false or an allow block
	Replaced bool // by the one of the secret
}

// Text is a rule as JSON.
func Text(rule any) json.RawMessage {
	text, err := json.Marshal(rule)
	if err != nil { // an infinite number, for which JSON has no word
		text, _ = json.Marshal(fmt.Sprint(rule))
	}
	return text
}

// Blocks are the rules of an action about one secret, or with the name "" about
// none, the deciding ones first.
func (p *Policy) Blocks(action, name string) []Block {
	var own rule
	switch s := p.secrets[name]; action {
	case DatasetteSecret:
		own = s.use
	case ManageSecrets:
		own = s.manage
	}
	var all []Block
	if own.block != nil {
		all = append(all, Block{Place: own.path, Rule: own.block})
	}
	if r := p.permissions[action]; r.block != nil {
		all = append(all, Block{Place: r.path, Rule: r.block, Replaced: own.block != nil})
	}
	if action == ViewInstance && p.allow.block != nil {
		all = append(all, Block{Place: p.allow.path, Rule: p.allow.block})
	}
	return all
}

// Otherwise says who may do an action where no block speaks of it.
func (p *Policy) Otherwise(action string) string {
	a, _ := find(action)
	switch {
	case a.Default && !p.defaultDeny:
		return "everybody"
	case p.root:
		return "root, because of --root"
	}
	return "nobody"
}

// Programs are the lists of a secret. Without any, listed is false.
func (p *Policy) Programs(name string) (plugins, clients []string, listed bool) {
	s := p.secrets[name]
	return slices.Clone(s.plugins), slices.Clone(s.clients), s.listed
}

// TrustsAsserted reports whether a plugin's word for an actor counts.
func (p *Policy) TrustsAsserted() bool { return p.trustAsserted }

// Names are the secrets that have rules of their own, sorted.
func (p *Policy) Names() []string { return slices.Sorted(maps.Keys(p.secrets)) }

// Slips are sentences about actions in the block "permissions" that are nearly
// ones of this host. Other names are left alone: they may be Datasette's.
func (p *Policy) Slips() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(p.permissions)) {
		if _, known := find(name); known || len(name) > maxCompared {
			continue
		}
		for _, a := range Actions() {
			if levenshtein.ComputeDistance(strings.ToLower(name), a.Name) <= 2 {
				all = append(all, fmt.Sprintf("permissions: %q has no effect here; did you mean %q?", clip(name), a.Name))
			}
		}
	}
	return all
}

// maxCompared is the longest name, in bytes, that is compared with others.
const maxCompared = 64

// Suggestion says which known word is nearest to another one.
func suggestion(word string, known []string) string {
	best, least := "", len(word)/2+1
	for _, k := range known {
		if len(word) > maxCompared {
			break
		}
		if d := levenshtein.ComputeDistance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "there are " + strings.Join(known, " and ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// clip shortens somebody else's word for a message.
func clip(word string) string {
	if len(word) > maxCompared {
		return strings.ToValidUTF8(word[:maxCompared], "") + "…"
	}
	return word
}
