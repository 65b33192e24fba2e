package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Question is who wants to do what.
type Question struct {
	Action string
	Secret string // for actions about one secret; empty for all of them together
	// Caller is who would do it. Without a plugin or client, the question
	// whether a secret may be used is about the actor alone.
	Caller secrets.Caller
}

// Explanation is the decision of a question, and why it is so.
type Explanation struct {
	access.Decision
	Findings []access.Finding
	Nearest  []access.Change // what would have to be different for another answer
	Unknown  string          // says that nobody knows the secret, if so
}

// Explain answers a question by the rules that decide when it is not one. It
// leaves no trace. About a secret, those are told who may manage it; everything
// else is for who runs commands on the machine.
func (v *Vault) Explain(_ context.Context, caller secrets.Caller, q Question) (Explanation, error) {
	if err := v.authorizeQuestion(caller, q.Action, q.Secret); err != nil {
		return Explanation{}, err
	}
	all := v.consider(q)
	return Explanation{
		Decision: access.Conclude(q.Action, all), Findings: all, Nearest: access.Nearest(q.Action, all),
		Unknown: v.unknown(q.Secret),
	}, nil
}

// consider is what the rules have to say to a question.
func (v *Vault) consider(q Question) []access.Finding {
	switch program := q.Caller.Plugin != "" || q.Caller.Client != ""; {
	case q.Action == access.DatasetteSecret && program:
		return v.considerUse(nil, q.Caller, q.Secret)
	case q.Action == access.DatasetteSecret:
		return v.policy.ConsiderUse(nil, q.Caller, q.Secret)
	case q.Action == access.ManageSecrets:
		return v.considerManage(q.Caller, q.Secret)
	case q.Action == access.ManagePlugins:
		return v.considerPlugins(q.Caller)
	}
	return v.policy.Consider(q.Caller.Actor, q.Action)
}

// authorizeQuestion allows a question about permissions.
func (v *Vault) authorizeQuestion(caller secrets.Caller, action, secret string) error {
	if err := access.CheckAction(action, secret); err != nil {
		return err
	}
	if caller.Plugin == "" && caller.Client == "" && caller.Proof == secrets.ProofLocal {
		return nil // who runs commands on the machine has the configuration itself
	}
	if secret == "" {
		return fmt.Errorf("%w: only commands on the machine of the host explain this", secrets.ErrDenied)
	}
	_, err := v.authorizeManage(caller, secret)
	return err
}

// unknown says that no plugin or client has declared a secret, with the nearest
// that one did.
func (v *Vault) unknown(name string) string {
	declared := v.declarations.Load()
	if _, ok := declared.byName[name]; ok || name == "" {
		return ""
	}
	return "no plugin or client has declared " + name + declared.hint(name)
}

// Holders are those who can do something, as far as that can be listed.
type Holders struct {
	// Programs are those that declared a secret, were granted it, or are on its
	// lists; only for the action datasette-secret.
	Programs []Holder
	Listed   bool // the secret has lists of programs
	// Blocks say which actors, the deciding ones first. Without any, Otherwise
	// says it.
	Blocks    []access.Block
	Otherwise string
	// TrustsAsserted is whether a plugin's word for an actor counts.
	TrustsAsserted bool
	Unknown        string // as in Explanation
}

// Holder is a plugin or client, and whether it may have a secret.
type Holder struct {
	Plugin string
	Client string // either
	May    bool
	Rule   string // that decided
	Place  string // of the rule in the configuration file; empty for one that is in none
}

// WhoCan lists who can do something. It leaves no trace, and is for those whom
// Explain answers.
func (v *Vault) WhoCan(_ context.Context, caller secrets.Caller, action, secret string) (Holders, error) {
	if err := v.authorizeQuestion(caller, action, secret); err != nil {
		return Holders{}, err
	}
	h := Holders{
		Blocks: v.policy.Blocks(action, secret), TrustsAsserted: v.policy.TrustsAsserted(), Unknown: v.unknown(secret),
	}
	if len(h.Blocks) == 0 {
		h.Otherwise = v.policy.Otherwise(action)
	}
	if action == access.DatasetteSecret {
		h.Programs, h.Listed = v.programsOf(secret)
	}
	return h, nil
}

// programsOf are the plugins, then the clients, that have to do with a secret.
func (v *Vault) programsOf(secret string) (holders []Holder, listed bool) {
	plugins, clients, listed := v.policy.Programs(secret)
	for _, holder := range v.declarations.Load().users[secret] {
		plugins, clients = addHolder(plugins, clients, holder)
	}
	r, all := Request{RequestSecret, secret}, v.approvals.Load()
	for holder, a := range all.plugins {
		if a.states[r] != "" {
			plugins, clients = addHolder(plugins, clients, holder)
		}
	}
	slices.Sort(plugins)
	slices.Sort(clients)
	for _, name := range slices.Compact(plugins) {
		holders = append(holders, v.holder(secrets.Caller{Plugin: name}, secret))
	}
	for _, name := range slices.Compact(clients) {
		holders = append(holders, v.holder(secrets.Caller{Client: name}, secret))
	}
	return holders, listed
}

func addHolder(plugins, clients []string, holder string) (p, c []string) {
	if caller := callerOf(holder); caller.Client != "" {
		return plugins, append(clients, caller.Client)
	}
	return append(plugins, holder), clients
}

// holder is a program by itself, without an actor.
func (v *Vault) holder(program secrets.Caller, secret string) Holder {
	h := Holder{Plugin: program.Plugin, Client: program.Client, May: true, Rule: grantOf(program)}
	if against := access.Refused(v.considerProgram(nil, program, secret)); against != nil {
		h.May, h.Rule = false, against.Rule
		h.Place = against.InFile()
	}
	return h
}

// Names are the secrets that are declared, stored or named by rules, sorted.
func (v *Vault) Names(ctx context.Context, caller secrets.Caller) ([]string, error) {
	if err := v.authorizeQuestion(caller, access.ManageSecrets, ""); err != nil {
		return nil, err
	}
	names := v.policy.Names()
	for _, d := range v.declarations.Load().merged {
		names = append(names, d.Name)
	}
	err := v.db.View(ctx, func(tx *db.Tx) error {
		rows, err := tx.NewestOfAll()
		for _, row := range rows {
			names = append(names, row.Name)
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// IdleRules are sentences about rules for secrets that nobody declared and that
// are not in the database: they may be meant for another name.
func (v *Vault) IdleRules(ctx context.Context) (sentences []string, err error) {
	err = v.db.View(ctx, func(tx *db.Tx) error {
		for _, name := range v.policy.Names() {
			_, stored, err := tx.Newest(name)
			if errors.Is(err, secrets.ErrIntegrity) {
				stored, err = true, nil // and damaged
			}
			if err != nil {
				return err
			}
			if unknown := v.unknown(name); unknown != "" && !stored {
				sentences = append(sentences, access.SecretPath(name)+" protects nothing: "+unknown)
			}
		}
		return nil
	})
	return sentences, err
}

// RecallAll lets what every plugin said when it last introduced itself count,
// whichever program it is by now. It is for looking at a file without starting
// its plugins.
func (v *Vault) RecallAll() {
	for name, a := range v.approvals.Load().plugins {
		if !isClient(name) && a.introduced() {
			v.declare(name, a.declarations)
		}
	}
}
