package vault_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// ruled is the option of a vault with these permissions.
func ruled(t *testing.T, c access.Config) option {
	t.Helper()
	policy, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *vault.Config) { cfg.Policy = policy }
}

// table is a table of docs/permissions.md, by a text of its first line. Its
// cells are without backticks.
func table(t *testing.T, first string) [][]string {
	t.Helper()
	data, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if len(rows) == 0 && !strings.HasPrefix(line, first) {
			continue
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.ReplaceAll(line, "`", ""), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 5 {
		t.Fatalf("docs/permissions.md has no table that begins with %q", first)
	}
	return rows[2:]
}

// decides is the number of the first row that fits a case, and what it says.
func decides(t *testing.T, rows [][]string, facts ...string) (row int, answers []string) {
	t.Helper()
	for i, cells := range rows {
		fits := true
		for j, fact := range facts {
			fits = fits && (cells[j] == "any" || cells[j] == fact)
		}
		if fits {
			return i, cells[len(facts):]
		}
	}
	t.Fatalf("no line of the table fits %q", facts)
	return 0, nil
}

// cases are all ways to choose one of each list.
func cases(choices ...[]string) [][]string {
	all := [][]string{nil}
	for _, list := range choices {
		var longer [][]string
		for _, begun := range all {
			for _, one := range list {
				longer = append(longer, append(slices.Clone(begun), one))
			}
		}
		all = longer
	}
	return all
}

// blockOf is a rule that does to an actor what a word of the table says.
func blockOf(word string, actor secrets.Actor) any {
	switch word {
	case "true":
		return true
	case "matches":
		if actor == nil {
			return map[string]any{"unauthenticated": true}
		}
		return map[string]any{"id": actor["id"]}
	case "does not match":
		return map[string]any{"id": "somebody else"}
	}
	return nil
}

func permissions(action string, block any) map[string]any {
	if block == nil {
		return nil
	}
	return map[string]any{action: block}
}

// TestTableOfUse runs every case of the table in docs/permissions.md.
func TestTableOfUse(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "value", "")
	rows := table(t, "| list of the secret |")
	blocks := []string{"none", "true", "matches", "does not match"}
	used := map[int]int{}
	for _, c := range cases(
		[]string{"none", "names the program", "leaves the program out"},
		[]string{"none", "have datasette-secret", "lack datasette-secret"},
		blocks, blocks,
		[]string{"proven", "asserted", "asserted and trusted", "nobody"},
	) {
		list, limits, own, general, who := c[0], c[1], c[2], c[3], c[4]
		if limits != "none" && who == "nobody" {
			continue
		}
		row, answers := decides(t, rows, c...)
		used[row]++
		caller := secrets.Caller{Plugin: "demo"}
		if who != "nobody" {
			caller.Actor, caller.Proof = secrets.Actor{"id": "alice"}, secrets.ProofProven
			if who != "proven" {
				caller.Proof = secrets.ProofAsserted
			}
		}
		switch limits {
		case "have datasette-secret":
			caller.Actor["_r"] = map[string]any{"a": []any{"manage-secrets", "datasette-secret"}}
		case "lack datasette-secret":
			caller.Actor["_r"] = map[string]any{
				"a": []any{"manage-secrets"}, "d": map[string]any{"API_KEY": []any{"datasette-secret"}},
				"r": map[string]any{"secrets": map[string]any{"API_KEY": []any{"datasette-secret"}}},
			}
		}
		rules := access.SecretConfig{Permissions: permissions(access.DatasetteSecret, blockOf(own, caller.Actor))}
		switch list {
		case "names the program":
			rules.Plugins = []string{"other", "demo"}
		case "leaves the program out":
			rules.Plugins = []string{"other"}
		}
		w.policy(t, access.Config{
			Permissions:   permissions(access.DatasetteSecret, blockOf(general, caller.Actor)),
			Secrets:       map[string]access.SecretConfig{"API_KEY": rules},
			TrustAsserted: who == "asserted and trusted",
		})
		w.decides(t, caller, "API_KEY", answers[0] == "yes", used[row] == 1)
	}
	for i := range rows {
		if used[i] == 0 {
			t.Errorf("line %d of the table decides no case", i+1)
		}
	}
}

// policy gives the world other permissions, on the same file with the same
// plugins.
func (w *world) policy(t *testing.T, c access.Config) {
	t.Helper()
	if w.handle == nil {
		w.second(t, func(cfg *vault.Config) { w.handle = cfg })
	}
	ruled(t, c)(w.handle)
	w.Vault = vault.New(*w.handle)
	if err := w.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	w.RecallAll()
}

// decides checks that every way to ask gives the same answer. Reading the value
// itself takes its time, and is done only where it is asked for.
func (w *world) decides(t *testing.T, caller secrets.Caller, name string, want, read bool) {
	t.Helper()
	can, err := w.CanAccess(ctx, caller, name)
	if can != want || err != nil {
		t.Errorf("%+v, %s: CanAccess says %v, %v", caller, name, can, err)
	}
	why, err := w.Explain(ctx, operator, vault.Question{Action: access.DatasetteSecret, Secret: name, Caller: caller})
	if why.Allowed != want || why.Reason == "" || err != nil {
		t.Errorf("%+v, %s: Explain says %+v, %v", caller, name, why, err)
	}
	if !read {
		return
	}
	found, err := w.Get(ctx, caller, name)
	if (err == nil) != want || want && found.Value.Reveal() != "value" || !want && !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("%+v, %s: Get says %v", caller, name, err)
	}
	many, err := w.GetMany(ctx, caller, []string{name})
	if err != nil || (many[0].Err == nil) != want {
		t.Errorf("%+v, %s: GetMany says %+v, %v", caller, name, many, err)
	}
}

// TestTableOfManaging runs every case of the second table.
func TestTableOfManaging(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "value", "")
	put(t, w, "PASSWORD", "value", "")
	rows := table(t, "| restrictions |")
	blocks := []string{"none", "matches", "does not match"}
	for _, c := range cases([]string{"none", "have manage-secrets", "lack manage-secrets"}, blocks, blocks) {
		_, answers := decides(t, rows, c...)
		caller := secrets.Caller{Actor: secrets.Actor{"id": "alice"}, Proof: secrets.ProofToken}
		switch c[0] {
		case "have manage-secrets":
			caller.Actor["_r"] = map[string]any{"a": []any{"manage-secrets"}}
		case "lack manage-secrets":
			caller.Actor["_r"] = map[string]any{"a": []any{"datasette-secret"}}
		}
		w.policy(t, access.Config{
			Permissions: permissions(access.ManageSecrets, blockOf(c[2], caller.Actor)),
			Secrets: map[string]access.SecretConfig{
				"API_KEY": {Permissions: permissions(access.ManageSecrets, blockOf(c[1], caller.Actor))},
			},
		})
		shown := func(name string) string {
			_, _, err := w.Show(ctx, caller, name)
			if may := w.MayManage(caller, name); may != (err == nil) || err != nil && !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%q: MayManage %s is %v, Show says %v", c, name, may, err)
			}
			if err != nil {
				return "no"
			}
			return "yes"
		}
		got := []string{shown("API_KEY"), shown("PASSWORD"), ""}
		list, err := w.List(ctx, caller)
		switch {
		case errors.Is(err, secrets.ErrDenied):
			got[2] = "no"
		case len(list) == 2:
			got[2] = "all"
		case len(list) == 1 && list[0].Name == "API_KEY":
			got[2] = "this one"
		case len(list) == 1:
			got[2] = "all others"
		}
		if (got[2] != "no") != w.MayManageSome(caller) || !slices.Equal(got, answers) {
			t.Errorf("%q: got %q, the table says %q", c, got, answers)
		}
		for _, one := range []secrets.Caller{
			{Actor: caller.Actor, Proof: secrets.ProofAsserted}, {Actor: caller.Actor, Proof: secrets.ProofProven, Plugin: "demo"},
			{Actor: caller.Actor, Proof: secrets.ProofProven, Client: "ci"},
		} {
			if _, err := w.List(ctx, one); w.MayManage(one, "API_KEY") || w.MayManageSome(one) || !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%q: %+v manages", c, one)
			}
		}
	}
}

// TestExplainAgrees asks ten thousand random questions of vaults with random
// rules, in which plugins declared, were granted and were refused things: the
// explanation, the question by a plugin and the list of programs agree with
// what the value's release is decided by.
func TestExplainAgrees(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "value", "")
	put(t, w, "PASSWORD", "value", "")
	declare(t, w, "llm", "API_KEY", "PASSWORD") // pending: demo has both
	if _, err := w.Approve(ctx, root, "llm", secret("API_KEY")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Refuse(ctx, root, "demo", secret("PASSWORD")); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 9))
	pick := func(choices ...any) any { return choices[r.IntN(len(choices))] }
	block := func() map[string]any {
		return permissions(access.DatasetteSecret, pick(nil, nil, true, false, map[string]any{"id": "alice"}, map[string]any{"id": "*"}, map[string]any{"unauthenticated": true}))
	}
	list := func() []string {
		return pick([]string(nil), []string(nil), []string{"demo"}, []string{"demo", "llm"}, []string{}).([]string)
	}
	yes := 0
	for range 100 {
		w.policy(t, access.Config{Permissions: block(), TrustAsserted: r.IntN(3) == 0, Secrets: map[string]access.SecretConfig{
			"API_KEY": {Permissions: block(), Plugins: list()}, "PASSWORD": {Permissions: block(), Plugins: list()},
		}})
		for i := range 100 {
			name := pick("API_KEY", "PASSWORD", "api_key").(string)
			caller := secrets.Caller{Plugin: pick("demo", "llm", "stranger", "").(string)}
			if id := pick("alice", "bob", "").(string); id != "" {
				caller.Actor, caller.Proof = secrets.NewActor(id), pick(secrets.ProofAsserted, secrets.ProofProven).(secrets.Proof)
			}
			can, err := w.CanAccess(ctx, caller, name)
			if err != nil {
				t.Fatal(err)
			}
			if can {
				yes++
			}
			q := vault.Question{Action: access.DatasetteSecret, Secret: name, Caller: caller}
			why, err := w.Explain(ctx, operator, q)
			if err != nil {
				t.Fatal(err)
			}
			if caller.Plugin == "" { // without one, only the actor is asked about
				if q.Caller.Plugin = "demo"; can {
					t.Errorf("%+v has %s without a plugin", caller, name)
				}
				continue
			}
			if why.Allowed != can || len(why.Nearest) == 0 || why.Reason == "" {
				t.Errorf("%+v, %s: can %v, explained as %+v", caller, name, can, why)
			}
			who, err := w.WhoCan(ctx, operator, access.DatasetteSecret, name)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(who.Programs, func(h vault.Holder) bool { return h.Plugin == caller.Plugin })
			if can && (at < 0 || !who.Programs[at].May) {
				t.Errorf("%s has %s, and is not listed: %+v", caller.Plugin, name, who.Programs)
			}
			if i == 0 {
				if _, err := w.Get(ctx, caller, name); (err == nil) != can {
					t.Errorf("%+v, %s: can %v, and Get says %v", caller, name, can, err)
				}
			}
		}
	}
	if yes < 500 {
		t.Errorf("only %d questions were answered with yes", yes)
	}
}

// TestListedPlugins: a list keeps out who is not on it, whatever was granted,
// and gives nobody anything.
func TestListedPlugins(t *testing.T) {
	t.Parallel()
	w := open(t, ruled(t, access.Config{
		Permissions: map[string]any{"manage-secrets": true, "manage-plugins": true},
		Secrets: map[string]access.SecretConfig{
			"API_KEY": {Plugins: []string{"llm", "Demo", "ghost"}}, "PASSWORD": {Clients: []string{"demo"}}, "OWN": {Plugins: []string{}},
		},
	}))
	put(t, w, "API_KEY", "value", "")
	put(t, w, "PASSWORD", "value", "")
	declare(t, w, "late", "API_KEY", "OWN")
	declare(t, w, "llm", "API_KEY")
	for _, name := range []string{"demo", "late", "llm"} {
		if _, err := w.Approve(ctx, root, name, secret("API_KEY")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		plugin, secret string
		want           bool
	}{
		{"demo", "API_KEY", false}, // granted on first use; "Demo" is another plugin
		{"late", "API_KEY", false}, // approved by name
		{"llm", "API_KEY", true},
		{"ghost", "API_KEY", false},                                 // on the list, and never there
		{"demo", "PASSWORD", false},                                 // a client of that name is another
		{"late", "OWN", false},                                      // the list is empty
		{"client demo", "PASSWORD", false}, {"", "PASSWORD", false}, // nobody is called that
		{"LLM", "API_KEY", false}, {"llm", "api_key", false}, // letters count
		{"llm", "API_KEY\u200b", false}, {"ⅼlm", "API_KEY", false}, // and so do those that look alike
	} {
		w.decidesFor(t, secrets.Caller{Plugin: c.plugin}, c.secret, c.want)
	}
	status, err := w.Status(ctx, secrets.Caller{Plugin: "demo"})
	if err != nil || status[0].Name != "API_KEY" || status[0].Set {
		t.Errorf("demo is told about a secret that is not for it: %+v, %v", status, err)
	}
	wantError(t, failure(w.Get(ctx, secrets.Caller{Plugin: "demo"}, "API_KEY")), secrets.ErrDenied)
	if err := failure(w.Get(ctx, secrets.Caller{Plugin: "stranger"}, "API_KEY")); !errors.Is(err, secrets.ErrNotDeclared) || strings.Contains(err.Error(), "plugins.") {
		t.Errorf("who did not declare the secret is told about its list: %v", err)
	}
}

func (w *world) decidesFor(t *testing.T, caller secrets.Caller, name string, want bool) {
	t.Helper()
	if can, err := w.CanAccess(ctx, caller, name); can != want || err != nil {
		t.Errorf("%+v, %s: got %v, %v", caller, name, can, err)
	}
}

func failure[T any](_ T, err error) error { return err }

// TestLeftOutPluginsTellNothing: a plugin that a secret's list leaves out is not
// granted it for being new, does not stand in the way of those who are on the
// list, and what it says of the secret does not count.
func TestLeftOutPluginsTellNothing(t *testing.T) {
	t.Parallel()
	w := open(t, ruled(t, access.Config{
		Permissions: map[string]any{"manage-secrets": true, "manage-plugins": true},
		Secrets:     map[string]access.SecretConfig{"OPENAI": {Plugins: []string{"llm"}}},
	}))
	lie := secrets.Declaration{Name: "OPENAI", Description: "Mail it to me", ObtainURL: "https://evil.example/", ObtainLabel: "Here", Pattern: "nothing fits this"}
	if err := introduce(w, "evil", []secrets.Declaration{lie, {Name: "OWN"}}); err != nil {
		t.Fatal(err)
	}
	if s, _ := show(t, w, "OPENAI"); s.Declaration != (secrets.Declaration{Name: "OPENAI"}) {
		t.Errorf("what the plugin says counts: %+v", s.Declaration)
	}
	put(t, w, "OPENAI", "value", "")
	w.decidesFor(t, secrets.Caller{Plugin: "evil"}, "OWN", true)
	declare(t, w, "llm", "OPENAI")
	w.decidesFor(t, secrets.Caller{Plugin: "llm"}, "OPENAI", true) // granted, for nobody else has it
	if _, err := w.Approve(ctx, root, "evil"); err != nil {
		t.Fatal(err)
	}
	w.decidesFor(t, secrets.Caller{Plugin: "evil"}, "OPENAI", false)
	if s, _ := show(t, w, "OPENAI"); s.Declaration.Description != "OPENAI of llm" {
		t.Errorf("the plugin on the list is not heard: %+v", s.Declaration)
	}
}

// TestPretendedActors: nobody gets at a secret by naming somebody else, or
// something that is no actor.
func TestPretendedActors(t *testing.T) {
	t.Parallel()
	w := open(t, ruled(t, access.Config{
		Permissions: map[string]any{"manage-secrets": true, "datasette-secret": map[string]any{"id": []any{"alice", "7", 1}}}, Root: true,
	}))
	put(t, w, "API_KEY", "value", "")
	for _, actor := range []secrets.Actor{
		{"id": "alice"}, {"id": "root"}, {"id": "*"}, {"id": "mallory", "roles": []any{"alice"}},
	} {
		for _, proof := range []secrets.Proof{secrets.ProofAsserted, secrets.ProofNone, "Proven", "signed-in ", "root"} {
			w.decidesFor(t, secrets.Caller{Plugin: "demo", Actor: actor, Proof: proof}, "API_KEY", false)
		}
	}
	odd := []any{
		nil, "", "Alice", "alice ", "alice\x00", "a\u200blice", 7, 7.5, true, []any{}, []any{nil}, map[string]any{"id": "alice"},
		[]any{[]any{"alice"}}, []any{map[string]any{"alice": true}},
	}
	for _, id := range odd {
		if id == true {
			continue // is 1, as in Python, and so does match
		}
		w.decidesFor(t, secrets.Caller{Plugin: "demo", Actor: secrets.Actor{"id": id}, Proof: secrets.ProofProven}, "API_KEY", false)
	}
	for _, actor := range []secrets.Actor{nil, {}, {"ID": "alice"}, {"name": "alice"}, {"unauthenticated": true}} {
		w.decidesFor(t, secrets.Caller{Plugin: "demo", Actor: actor, Proof: secrets.ProofProven}, "API_KEY", false)
	}
	for _, limits := range append(odd, "datasette-secret", []any{"datasette-secret"}, map[string]any{"a": "datasette-secret"},
		map[string]any{"a": []any{"*", "Datasette-Secret", "manage-secrets"}}, map[string]any{"datasette-secret": true}) {
		actor := secrets.Actor{"id": "alice", "_r": limits}
		w.decidesFor(t, secrets.Caller{Plugin: "demo", Actor: actor, Proof: secrets.ProofProven}, "API_KEY", false)
	}
	w.decidesFor(t, secrets.Caller{Plugin: "demo", Actor: secrets.NewActor("alice"), Proof: secrets.ProofProven}, "API_KEY", true)
}

// TestManagerOfOneSecret: whoever manages one secret does nothing to another,
// in no way there is, and nothing to the host.
func TestManagerOfOneSecret(t *testing.T) {
	t.Parallel()
	everything := access.Config{Permissions: map[string]any{"manage-secrets": true, "manage-plugins": true}}
	w := open(t, ruled(t, everything))
	for _, name := range []string{"API_KEY", "PASSWORD"} {
		put(t, w, name, "first", "")
		put(t, w, name, "value", "")
	}
	own := map[string]any{"manage-secrets": map[string]any{"id": "mallory"}}
	w.policy(t, access.Config{
		Permissions: map[string]any{"manage-secrets": map[string]any{"id": "root"}, "manage-plugins": map[string]any{"id": "root"}},
		Secrets:     map[string]access.SecretConfig{"API_KEY": {Permissions: own}, "NOWHERE": {Permissions: own}},
	})
	value := secrets.NewValue("mine")
	for _, name := range []string{"PASSWORD", "api_key", "API_KEY ", "API_KEY\x00", "API%5FKEY", "APＩ_KEY", "nothing", "API_KEY/../PASSWORD"} {
		q := vault.Question{Action: access.DatasetteSecret, Secret: name}
		for what, err := range map[string]error{
			"Show": func() error { _, _, err := w.Show(ctx, mallory, name); return err }(),
			"Put":  failure(w.Put(ctx, mallory, name, value, "")), "Annotate": failure(w.Annotate(ctx, mallory, name, "note")),
			"Delete": w.Delete(ctx, mallory, name), "Restore": failure(w.Restore(ctx, mallory, name, 1)),
			"Hint": failure(w.Hint(ctx, mallory, name)), "Try": failure(w.Try(ctx, mallory, "demo", name)),
			"Explain": failure(w.Explain(ctx, mallory, q)), "WhoCan": failure(w.WhoCan(ctx, mallory, q.Action, name)),
		} {
			if !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s of %q: %v", what, name, err)
			}
		}
	}
	for what, err := range map[string]error{
		"Plugins": failure(w.Plugins(ctx, mallory)), "Clients": failure(w.Clients(ctx, mallory)),
		"Approve":       failure(w.Approve(ctx, mallory, "demo")),
		"DisablePlugin": w.DisablePlugin(ctx, mallory, "demo"),
		"Names":         failure(w.Names(ctx, mallory)),
		"Explain":       failure(w.Explain(ctx, mallory, vault.Question{Action: access.ManageSecrets})),
		"Unseal":        failure(w.Unseal(ctx, mallory, nil)),
	} {
		if !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	list, err := w.List(ctx, mallory)
	if err != nil || len(list) != 1 || list[0].Name != "API_KEY" {
		t.Errorf("the list: %+v, %v", list, err)
	}
	if _, err := w.Put(ctx, mallory, "API_KEY", value, ""); err != nil {
		t.Errorf("what is theirs: %v", err)
	}
	if _, _, err := w.Show(ctx, root, "API_KEY"); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("the rule of the secret replaces the general one: %v", err)
	}
	wantError(t, failure(w.Put(ctx, mallory, "NOWHERE", value, "")), secrets.ErrNotFound)
}

// TestExplanationsLeaveNoTrace: neither a question nor its explanation is an entry
// of the log or a use.
func TestExplanationsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "value", "")
	before, _ := show(t, w, "API_KEY")
	changes := w.entries(t)
	for _, caller := range []secrets.Caller{plugin("demo", "bob"), plugin("stranger", "bob"), {}, root} {
		for range 3 {
			_, _ = w.CanAccess(ctx, caller, "API_KEY")
			_, _ = w.Status(ctx, caller)
			_, _ = w.Explain(ctx, root, vault.Question{Action: access.DatasetteSecret, Secret: "API_KEY", Caller: caller})
			_, _ = w.WhoCan(ctx, root, access.DatasetteSecret, "API_KEY")
			_, _ = w.Explain(ctx, mallory, vault.Question{Action: access.DatasetteSecret, Secret: "API_KEY", Caller: caller})
		}
	}
	if after, _ := show(t, w, "API_KEY"); after.LastUsedAt != before.LastUsedAt || w.entries(t) != changes {
		t.Errorf("a question left a trace: used at %q, %d entries more", after.LastUsedAt, w.entries(t)-changes)
	}
}

// entries is how many entries the log has: the number of the newest.
func (w *world) entries(t *testing.T) (n int) {
	t.Helper()
	stats, err := w.LogStats(ctx, operator, vault.LogFilter{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return int(stats.Highest)
}

// TestTryingIsUsing: whoever tries out a value on a page has it used, and needs
// the permission for that too.
func TestTryingIsUsing(t *testing.T) {
	t.Parallel()
	w := open(t, ruled(t, access.Config{Permissions: map[string]any{
		"manage-secrets": true, "datasette-secret": map[string]any{"id": "alice"},
	}}))
	w.shows(t, "tester", "h1", "TOKEN", "/validator")
	put(t, w, "TOKEN", "value", "")
	for _, c := range []struct {
		caller secrets.Caller
		want   bool
	}{
		{alice, true}, {mallory, false}, {root, false}, {anonymous, false},
		{secrets.Caller{Actor: alice.Actor, Proof: secrets.ProofAsserted}, false},
		{secrets.Caller{Actor: alice.Actor, Proof: secrets.ProofVouched}, true},
		{secrets.Caller{Actor: secrets.Actor{"id": "alice", "_r": map[string]any{"a": []any{"manage-secrets"}}}, Proof: secrets.ProofToken}, false},
	} {
		if found, err := w.Try(ctx, c.caller, "tester", "TOKEN"); (err == nil) != c.want || !c.want && (!errors.Is(err, secrets.ErrDenied) || found.Value.Len() > 0) {
			t.Errorf("%+v: %v", c.caller, err)
		}
	}
	if !w.MayHave(secrets.Caller{Plugin: "tester"}, "TOKEN") || w.MayHave(secrets.Caller{Plugin: "stranger"}, "TOKEN") {
		t.Error("what a program may have does not depend on who looks")
	}
}
