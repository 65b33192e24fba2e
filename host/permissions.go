package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Question is who wants to do what.
type Question struct {
	Action string          `json:"action"`
	Secret string          `json:"secret"`          // empty for actions that are not about one
	Actor  json.RawMessage `json:"actor,omitempty"` // a JSON object; none for nobody
	Proof  secrets.Proof   `json:"proof,omitempty"` // how the actor is known
	Plugin string          `json:"plugin,omitempty"`
	Client string          `json:"client,omitempty"`
}

// Explanation is what becomes of a question, and why. Places are paths in the
// configuration file; they are empty for what is in no file.
type Explanation struct {
	Allowed    bool         `json:"allowed"`
	Action     string       `json:"action"`
	Secret     string       `json:"secret"`
	Rule       string       `json:"rule"` // that decided, in a sentence
	Place      string       `json:"place"`
	Nearest    []Change     `json:"nearest"` // all that would have to be different for another answer
	Considered []Considered `json:"considered"`
	Unknown    string       `json:"unknown,omitempty"` // says that nobody has declared the secret
}

// Change is something that would have to be different.
type Change struct {
	Place string `json:"place"`
	If    string `json:"if"` // "if it matched this actor"
}

// Considered is what one rule says to a question.
type Considered struct {
	Verdict string `json:"verdict"` // "allows", "denies" or "passes"
	Rule    string `json:"rule"`
	Place   string `json:"place"`
}

// Holders are those who can do something, as far as that can be listed.
type Holders struct {
	Action         string    `json:"action"`
	Secret         string    `json:"secret"`
	Programs       []Holder  `json:"programs"`
	Listed         bool      `json:"listed"`              // the secret is only for the programs on its lists
	Rules          []WhoRule `json:"rules"`               // about actors
	Otherwise      string    `json:"otherwise,omitempty"` // who may, without any rule
	TrustsAsserted bool      `json:"trust_asserted_actors"`
	Unknown        string    `json:"unknown,omitempty"`
}

// Holder is a plugin or client, and whether it may have the secret.
type Holder struct {
	Plugin string `json:"plugin,omitempty"`
	Client string `json:"client,omitempty"`
	May    bool   `json:"may"`
	Rule   string `json:"rule"`
	Place  string `json:"place"`
}

// WhoRule is a rule about actors: true, false or an allow block.
type WhoRule struct {
	Place    string          `json:"place"`
	Rule     json.RawMessage `json:"rule"`
	Replaced bool            `json:"replaced"` // by the one of the secret
}

// The acts about permissions.
const (
	actExplain = "permission/explain"
	actWhoCan  = "permission/who-can"
	actNames   = "secret/names"
)

func (d decider) permissionActs() map[string]control.Act {
	return map[string]control.Act{
		actExplain: with(d.explain), actWhoCan: with(d.whoCan),
		actNames: func(ctx context.Context, caller secrets.Caller, _ json.RawMessage) (any, error) {
			return d.door.Names(ctx, caller)
		},
	}
}

func (d decider) explain(ctx context.Context, caller secrets.Caller, q Question) (Explanation, error) {
	asked := secrets.Caller{Proof: q.Proof, Plugin: q.Plugin, Client: q.Client}
	if len(q.Actor) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(q.Actor))
		decoder.UseNumber()
		if err := decoder.Decode(&asked.Actor); err != nil {
			return Explanation{}, fmt.Errorf("%w: an actor is a JSON object", secrets.ErrInvalid)
		}
	}
	why, err := d.door.Explain(ctx, caller, vault.Question{Action: q.Action, Secret: q.Secret, Caller: asked})
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{
		Allowed: why.Allowed, Action: q.Action, Secret: q.Secret, Rule: why.Reason, Place: why.Place,
		Nearest: []Change{}, Considered: []Considered{}, Unknown: why.Unknown,
	}
	for _, c := range why.Nearest {
		e.Nearest = append(e.Nearest, Change(c))
	}
	for _, f := range why.Findings {
		e.Considered = append(e.Considered, Considered{string(f.Verdict), f.Rule, f.InFile()})
	}
	return e, nil
}

func (d decider) whoCan(ctx context.Context, caller secrets.Caller, q Question) (Holders, error) {
	who, err := d.door.WhoCan(ctx, caller, q.Action, q.Secret)
	if err != nil {
		return Holders{}, err
	}
	h := Holders{
		Action: q.Action, Secret: q.Secret, Programs: []Holder{}, Listed: who.Listed, Rules: []WhoRule{},
		Otherwise: who.Otherwise, TrustsAsserted: who.TrustsAsserted, Unknown: who.Unknown,
	}
	for _, p := range who.Programs {
		h.Programs = append(h.Programs, Holder(p))
	}
	for _, b := range who.Blocks {
		h.Rules = append(h.Rules, WhoRule{b.Place, access.Text(b.Rule), b.Replaced})
	}
	return h, nil
}

// Explain answers a question about permissions.
func (c *Console) Explain(ctx context.Context, q Question) (e Explanation, err error) {
	err = c.call(ctx, actExplain, q, &e)
	return e, err
}

// WhoCan lists who can do an action, about one secret or, with the name "",
// about none.
func (c *Console) WhoCan(ctx context.Context, action, secret string) (h Holders, err error) {
	err = c.call(ctx, actWhoCan, Question{Action: action, Secret: secret}, &h)
	return h, err
}

// Names are those of the secrets that are known, sorted.
func (c *Console) Names(ctx context.Context) (names []string, err error) {
	err = c.call(ctx, actNames, nil, &names)
	return names, err
}
