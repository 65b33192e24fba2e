// Package access decides who may do what, by the rules of Datasette's
// configuration: permissions, allow blocks, --root and the restrictions of a
// token. It is pure: data goes in, a [Decision] comes out, and nothing here
// knows where an actor or a configuration came from.
//
// # How a decision is made
//
// Each rule that has something to say about an action says allow or deny:
//
//	permissions.ACTION   allow if the block matches the actor, deny if it does not
//	allow                the same, for view-instance only
//	--root               allows the actor whose id is "root" everything
//	default              allows view-instance, unless --default-deny is given
//
// One deny beats every allow, and without any allow the answer is no. A block
// that names somebody else therefore shuts out root too, even with --root.
//
// After that come restrictions. An actor who has "_r" may only do what its list
// "a" names, on top of what the rules allow: it takes away and never grants.
//
// # One secret
//
// Two actions are about one secret. A secret may have rules of its own for
// them, which replace permissions.ACTION for it:
//
//	manage-secrets     who may see and change it
//	datasette-secret   on whose behalf it may be used; allowed by default
//
// An actor of whom there is only a plugin's word satisfies no rule that looks
// at the actor, unless trust-asserted-actors says so. A secret may also have a
// list of the programs that it is for, and then it is for no other.
//
// # When in doubt
//
// What Datasette meets with an internal error is refused here: a malformed
// block when the configuration is read, everything else with a denial.
package access

import (
	"fmt"
	"maps"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Config is what the rules are made of.
type Config struct {
	Permissions map[string]any // the block "permissions": an action's name to its rule
	Allow       any            // the block "allow"; nil when there is none
	Root        bool           // --root: the actor root is allowed everything
	DefaultDeny bool           // --default-deny: nothing is allowed by default

	Secrets       map[string]SecretConfig // by the names of secrets
	TrustAsserted bool                    // a plugin's word for an actor counts
}

// Policy is a configuration that has been checked. It does not change and may
// be used by many goroutines.
type Policy struct {
	permissions   map[string]rule
	allow         rule
	root          bool
	defaultDeny   bool
	secrets       map[string]secretRules
	managed       []string // those with a rule of their own for manage-secrets, sorted
	trustAsserted bool

	use Action // DatasetteSecret; looked up here because every use needs it
}

// New checks a configuration. The error names the first malformed block by its
// path and says what was expected there; it never repeats a value.
func New(c Config) (*Policy, error) {
	p := &Policy{
		permissions: map[string]rule{}, root: c.Root, defaultDeny: c.DefaultDeny,
		secrets: map[string]secretRules{}, trustAsserted: c.TrustAsserted,
	}
	p.use, _ = find(DatasetteSecret)
	for _, action := range slices.Sorted(maps.Keys(c.Permissions)) {
		r, err := newRule("permissions."+action, c.Permissions[action])
		if err != nil {
			return nil, err
		}
		p.permissions[action] = r
	}
	allow, err := newRule("allow", c.Allow)
	if err != nil {
		return nil, err
	}
	p.allow = allow
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		if p.secrets[name], err = newSecretRules(SecretPath(name), c.Secrets[name]); err != nil {
			return nil, err
		}
		if p.secrets[name].manage.block != nil {
			p.managed = append(p.managed, name)
		}
	}
	return p, nil
}

// Decision is an answer and, in a sentence for people, the rule behind it.
type Decision struct {
	Allowed bool
	Reason  string
	Place   string // of the rule in the configuration file; empty for one that is in none
}

// Allowed tells whether an actor may do an action.
func (p *Policy) Allowed(actor secrets.Actor, action string) bool {
	return p.Decide(actor, action).Allowed
}

// Decide answers whether an actor, nil for anonymous, may do an action that is
// about no secret, and why. An action that does not exist is denied.
func (p *Policy) Decide(actor secrets.Actor, action string) Decision {
	return Conclude(action, p.Consider(actor, action))
}

// Consider is what each rule has to say on whether an actor may do an action
// that is about no secret.
func (p *Policy) Consider(actor secrets.Actor, action string) []Finding {
	a, ok := find(action)
	if !ok {
		return []Finding{{Verdict: Denies, Rule: fmt.Sprintf("there is no action %q", action)}}
	}
	rules := []rule{p.permissions[a.Name]}
	if a.Name == ViewInstance {
		rules = append(rules, p.allow)
	}
	return p.findings(nil, actor, a, rules...)
}

// findings adds to all what some rules say of an actor whom they take for
// granted, and after them what holds for every action; the most telling first.
func (p *Policy) findings(all []Finding, actor secrets.Actor, a Action, rules ...rule) []Finding {
	before := len(all)
	for _, r := range rules {
		if r.block != nil {
			all = append(all, r.finding(actor))
		}
	}
	nothingSaid := len(all) == before
	if p.root && actor["id"] == "root" {
		all = append(all, Finding{Verdict: Allows, Place: rootFlag, Rule: "root is allowed everything, because of --root"})
	}
	if a.Default && !p.defaultDeny && nothingSaid {
		all = append(all, byDefault(a))
	}
	return restrict(all, actor, a)
}

func byDefault(a Action) Finding {
	return Finding{Verdict: Allows, Rule: a.Name + " is allowed by default"}
}

// restrict adds what an actor's "_r" says, if it takes the action away.
func restrict(all []Finding, actor secrets.Actor, a Action) []Finding {
	if withinRestrictions(actor, a) {
		return all
	}
	return append(all, Finding{
		Verdict: Denies, Place: restrictionsPlace, Turn: "if " + a.Name + " were on it",
		Rule: "this actor is restricted (_r), and " + a.Name + " is not on its list",
	})
}

// withinRestrictions tells whether an actor's "_r", if it has one, leaves it
// the action. It has to be in the list "a", also if it is about one secret: the
// lists "d" and "r" are about databases and tables. A "_r" that makes no sense
// leaves nothing.
func withinRestrictions(actor secrets.Actor, a Action) bool {
	r, restricted := actor["_r"]
	if !restricted {
		return true
	}
	lists, _ := r.(map[string]any)
	list, _ := lists["a"].([]any)
	return slices.ContainsFunc(list, func(v any) bool {
		name, ok := v.(string)
		return ok && name != "" && (name == a.Name || name == a.Abbr)
	})
}
