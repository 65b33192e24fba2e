package access_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

const ownPath = "plugins.datasette-secrets.secrets.KEY"

// situation is a configuration and somebody who asks: everything that a
// decision about the secret KEY depends on.
type situation struct {
	config access.Config
	action string
	caller secrets.Caller
}

func (s situation) consider(t testing.TB) []access.Finding {
	t.Helper()
	p, err := access.New(s.config)
	if err != nil {
		t.Fatalf("%+v: %v", s.config, err)
	}
	switch s.action {
	case access.DatasetteSecret:
		var all []access.Finding
		if s.caller.Plugin != "" || s.caller.Client != "" {
			all = p.ConsiderProgram(nil, s.caller, "KEY")
		}
		return p.ConsiderUse(all, s.caller, "KEY")
	case access.ManageSecrets:
		return p.ConsiderManage(s.caller.Actor, "KEY")
	}
	return p.Consider(s.caller.Actor, s.action)
}

func (s situation) allowed(t testing.TB) bool {
	t.Helper()
	return access.Conclude(s.action, s.consider(t)).Allowed
}

// expected is the same decision, written down a second time in the shortest way
// there is.
func (s situation) expected() bool {
	own, actor := s.config.Secrets["KEY"], s.caller.Actor
	if r, restricted := actor["_r"]; restricted {
		lists, _ := r.(map[string]any)
		list, _ := lists["a"].([]any)
		short := map[string]string{access.ViewInstance: "vi"}[s.action]
		if !slices.Contains(list, any(s.action)) && (short == "" || !slices.Contains(list, any(short))) {
			return false
		}
	}
	use := s.action == access.DatasetteSecret
	if use && (own.Plugins != nil || own.Clients != nil) {
		switch {
		case s.caller.Plugin != "" && !slices.Contains(own.Plugins, s.caller.Plugin):
			return false
		case s.caller.Client != "" && !slices.Contains(own.Clients, s.caller.Client):
			return false
		}
	}
	believed := s.caller.Proof != secrets.ProofAsserted || s.config.TrustAsserted || !use
	blocks := []any{s.config.Permissions[s.action]}
	if one := own.Permissions[s.action]; one != nil && s.action != access.ViewInstance {
		blocks[0] = one
	}
	if s.action == access.ViewInstance {
		blocks = append(blocks, s.config.Allow)
	}
	said := false
	for _, block := range blocks {
		_, looks := block.(map[string]any)
		switch {
		case block == nil:
			continue
		case looks && actor != nil && !believed, !access.Matches(actor, block):
			return false
		}
		said = true
	}
	open := (use || s.action == access.ViewInstance) && !s.config.DefaultDeny
	return said || open || s.config.Root && actor["id"] == "root" && believed
}

// randomly makes a situation.
func randomly(r *rand.Rand) situation {
	pick := func(choices ...any) any { return choices[r.IntN(len(choices))] }
	block := func() any {
		return pick(nil, nil, true, false, map[string]any{}, map[string]any{"id": "alice"}, map[string]any{"id": []any{"bob", "root"}},
			map[string]any{"roles": []any{"staff"}}, map[string]any{"unauthenticated": true}, map[string]any{"id": "*"})
	}
	actors := []secrets.Actor{
		nil, {"id": "alice"}, {"id": "bob"}, {"id": "root"}, {"id": "carol", "roles": []any{"staff"}},
		{"id": "alice", "_r": map[string]any{"a": []any{"manage-secrets"}}},
		{"id": "alice", "_r": map[string]any{"a": []any{"datasette-secret", "vi"}}},
		{"id": "root", "_r": map[string]any{}}, {"id": "bob", "_r": "all"},
		{"id": "bob", "_r": map[string]any{"r": map[string]any{"db": map[string]any{"KEY": []any{"datasette-secret"}}}}},
	}
	s := situation{
		action: pick(access.DatasetteSecret, access.DatasetteSecret, access.ManageSecrets, access.ViewInstance, access.ManagePlugins).(string),
		caller: secrets.Caller{Actor: actors[r.IntN(len(actors))]},
		config: access.Config{
			Permissions: map[string]any{}, Allow: block(), Root: r.IntN(2) == 0, DefaultDeny: r.IntN(4) == 0,
			TrustAsserted: r.IntN(3) == 0, Secrets: map[string]access.SecretConfig{},
		},
	}
	if s.caller.Actor != nil {
		s.caller.Proof = pick(secrets.ProofLocal, secrets.ProofSignedIn, secrets.ProofToken, secrets.ProofVouched,
			secrets.ProofProven, secrets.ProofAsserted, secrets.ProofAsserted, secrets.ProofAsserted).(secrets.Proof)
	}
	switch r.IntN(5) {
	case 0:
		s.caller.Client = pick("ci", "web").(string)
	case 1:
	default:
		s.caller.Plugin = pick("llm", "demo").(string)
	}
	for _, action := range access.Actions() {
		if b := block(); b != nil {
			s.config.Permissions[action.Name] = b
		}
	}
	own := access.SecretConfig{Permissions: map[string]any{}}
	for _, action := range []string{access.DatasetteSecret, access.ManageSecrets} {
		if b := block(); b != nil {
			own.Permissions[action] = b
		}
	}
	list := func(names ...string) []string {
		return pick([]string(nil), []string(nil), []string{}, names[:1], names).([]string)
	}
	own.Plugins, own.Clients = list("llm", "demo"), list("ci", "web")
	if r.IntN(4) > 0 {
		s.config.Secrets["KEY"] = own
	}
	return s
}

// changed is the situation after a change that Nearest named.
func (s situation) changed(t *testing.T, c access.Change) situation {
	t.Helper()
	s.config.Permissions = maps.Clone(s.config.Permissions)
	own := s.config.Secrets["KEY"]
	own.Permissions = maps.Clone(own.Permissions)
	var block any
	switch {
	case strings.HasSuffix(c.If, "false"):
		block = false
	case strings.HasSuffix(c.If, "true"):
		block = true
	case strings.HasPrefix(c.If, "if it did not match "):
		block = map[string]any{"id": "somebody else"}
	case s.caller.Actor == nil:
		block = map[string]any{"unauthenticated": true}
	default:
		block = map[string]any{"id": s.caller.Actor["id"]}
	}
	switch {
	case c.Place == "permissions."+s.action:
		s.config.Permissions[s.action] = block
	case c.Place == "allow":
		s.config.Allow = block
	case c.Place == ownPath+".permissions."+s.action:
		own.Permissions[s.action] = block
	case c.Place == ownPath+".plugins" && c.If == "if it named "+s.caller.Plugin:
		own.Plugins = append(slices.Clone(own.Plugins), s.caller.Plugin)
	case c.Place == ownPath+".clients" && c.If == "if it named "+s.caller.Client:
		own.Clients = append(slices.Clone(own.Clients), s.caller.Client)
	case c.Place == "plugins.datasette-secrets.trust-asserted-actors":
		s.config.TrustAsserted = true
	case strings.HasPrefix(c.Place, "the list _r.a"):
		s.caller.Actor = maps.Clone(s.caller.Actor)
		s.caller.Actor["_r"] = map[string]any{"a": []any{s.action}}
	default:
		t.Fatalf("what does the change %q mean?", c)
	}
	if _, rules := s.config.Secrets["KEY"]; rules {
		s.config.Secrets = map[string]access.SecretConfig{"KEY": own}
	}
	return s
}

// TestExplanationsAgree asks ten thousand random questions. The decision is
// what the rules say on paper, the explanation tells it and its rule, and the
// changes that it names change the answer: all of them together, and no fewer.
func TestExplanationsAgree(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 5))
	allowed, several := 0, 0
	for i := range 10_000 {
		s := randomly(r)
		findings := s.consider(t)
		got := access.Conclude(s.action, findings)
		if got.Allowed != s.expected() || got.Reason == "" {
			t.Fatalf("case %d: %+v: got %+v", i, s, got)
		}
		changes := access.Nearest(s.action, findings)
		if len(changes) == 0 {
			t.Fatalf("case %d: %+v: nothing would change %+v", i, s, got)
		}
		after := s
		for _, c := range changes {
			after = after.changed(t, c)
		}
		if after.allowed(t) == got.Allowed {
			t.Fatalf("case %d: %+v is %+v, and after %q too", i, s, got, changes)
		}
		for skipped := range changes {
			fewer := s
			for j, c := range changes {
				if j != skipped {
					fewer = fewer.changed(t, c)
				}
			}
			if fewer.allowed(t) != got.Allowed {
				t.Fatalf("case %d: %+v is %+v; of %q, number %d is not needed", i, s, got, changes, skipped)
			}
		}
		if got.Allowed {
			allowed++
		}
		if len(changes) > 1 {
			several++
		}
	}
	if allowed < 1000 || allowed > 9000 || several < 1000 {
		t.Errorf("%d of the cases are allowed, and %d take several changes: they are not random enough", allowed, several)
	}
}

// TestWrongRulesOfSecrets: what a secret's rules say has to be understood, and
// has to say something.
func TestWrongRulesOfSecrets(t *testing.T) {
	t.Parallel()
	cases := []struct {
		action string
		block  any
		want   string
	}{
		{"manage-secret", true, ownPath + `.permissions: "manage-secret" is no action about one secret; did you mean "manage-secrets"?`},
		{"datasette-secrets", true, ownPath + `.permissions: "datasette-secrets" is no action about one secret; did you mean "datasette-secret"?`},
		{"manage-plugins", true, ownPath + `.permissions: "manage-plugins" is no action about one secret; did you mean "manage-secrets"?`},
		{strings.Repeat("x", 500), true, ownPath + `.permissions: "` + strings.Repeat("x", 64) + `…" is no action about one secret; there are datasette-secret and manage-secrets`},
		{"manage-secrets", nil, ownPath + ".permissions.manage-secrets: expected true, false or an allow block such as {id: root}; leave the key out to have permissions.manage-secrets count"},
		{"manage-secrets", "alice", ownPath + ".permissions.manage-secrets: expected true, false, 1, 0 or an allow block such as {id: root}, not a text"},
		{"datasette-secret", map[string]any{"id": map[string]any{}}, ownPath + ".permissions.datasette-secret.id: expected a text, a number, true, false or a list of these, not a mapping"},
	}
	for _, c := range cases {
		_, err := access.New(access.Config{Secrets: map[string]access.SecretConfig{"KEY": {Permissions: map[string]any{c.action: c.block}}}})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %v:\n got %v\nwant %s", c.action, c.block, err, c.want)
		}
	}
}

// TestSlips: what is nearly an action of this host is told, and what may be
// Datasette's is not.
func TestSlips(t *testing.T) {
	t.Parallel()
	p, err := access.New(access.Config{Permissions: map[string]any{
		"datasette-secrets": true, "Manage_Secrets": true, "view-database": true, "execute-sql": true, "manage-secrets": true, strings.Repeat("m", 1e6): true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`permissions: "Manage_Secrets" has no effect here; did you mean "manage-secrets"?`,
		`permissions: "datasette-secrets" has no effect here; did you mean "datasette-secret"?`,
	}
	if got := p.Slips(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestRulesAreCopied: nobody changes a policy by changing what it was made of,
// or what it tells.
func TestRulesAreCopied(t *testing.T) {
	t.Parallel()
	plugins, block := []string{"llm"}, map[string]any{"id": []any{"alice"}}
	s := situation{action: access.DatasetteSecret, caller: secrets.Caller{Plugin: "demo", Actor: secrets.NewActor("bob"), Proof: secrets.ProofProven}}
	p, err := access.New(access.Config{Secrets: map[string]access.SecretConfig{
		"KEY": {Plugins: plugins, Permissions: map[string]any{access.DatasetteSecret: block}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	told, _, _ := p.Programs("KEY")
	told[0], plugins[0] = "demo", "demo"
	block["id"].([]any)[0] = "bob"
	block["name"] = "*"
	findings := p.ConsiderUse(p.ConsiderProgram(nil, s.caller, "KEY"), s.caller, "KEY")
	if findings[0].Verdict != access.Denies || findings[1].Verdict != access.Denies {
		t.Errorf("the policy changed: %+v", findings)
	}
}
