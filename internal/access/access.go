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
}

// Policy is a configuration that has been checked. It does not change and may
// be used by many goroutines.
type Policy struct {
	permissions map[string]rule
	allow       rule
	root        bool
	defaultDeny bool
}

// New checks a configuration. The error names the first malformed block by its
// path and says what was expected there; it never repeats a value.
func New(c Config) (*Policy, error) {
	p := &Policy{permissions: map[string]rule{}, root: c.Root, defaultDeny: c.DefaultDeny}
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
	return p, nil
}

// Decision is an answer and, in a sentence for people, the rule behind it.
type Decision struct {
	Allowed bool
	Reason  string
}

// Allowed tells whether an actor may do an action.
func (p *Policy) Allowed(actor secrets.Actor, action string) bool {
	return p.Decide(actor, action).Allowed
}

// Decide answers whether an actor, nil for anonymous, may do an action, and
// why. An action that does not exist is denied.
func (p *Policy) Decide(actor secrets.Actor, action string) Decision {
	a, ok := find(action)
	if !ok {
		return Decision{Reason: fmt.Sprintf("there is no action %q", action)}
	}
	d := p.verdict(actor, a)
	if d.Allowed && !withinRestrictions(actor, a) {
		return Decision{Reason: fmt.Sprintf("this actor is restricted (_r), and %s is not on its list", action)}
	}
	return d
}

// verdict is the answer of the rules: the first deny, else the first allow.
func (p *Policy) verdict(actor secrets.Actor, a Action) Decision {
	none := Decision{Reason: "no rule allows " + a.Name}
	found := none
	for _, d := range p.opinions(actor, a) {
		if !d.Allowed {
			return d
		}
		if found == none {
			found = d
		}
	}
	return found
}

// opinions is what each rule that applies says, the most telling first.
func (p *Policy) opinions(actor secrets.Actor, a Action) []Decision {
	var ds []Decision
	for _, r := range p.rules(a) {
		if r.block != nil {
			ds = append(ds, r.decide(actor))
		}
	}
	if p.root && actor["id"] == "root" {
		ds = append(ds, Decision{true, "root is allowed everything, because of --root"})
	}
	if a.Default && !p.defaultDeny {
		ds = append(ds, Decision{true, a.Name + " is allowed by default"})
	}
	return ds
}

func (p *Policy) rules(a Action) []rule {
	rules := []rule{p.permissions[a.Name]}
	if a.Name == ViewInstance {
		rules = append(rules, p.allow)
	}
	return rules
}

// withinRestrictions tells whether an actor's "_r", if it has one, leaves it
// the action. A global action has to be in its list "a"; a "_r" that makes no
// sense leaves nothing.
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
