package vault_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// operator is who runs commands on the machine.
var operator = secrets.Caller{Actor: secrets.NewActor("op"), Proof: secrets.ProofLocal}

// shows introduces a program: its hash, its secrets and, after a slash, its
// hooks.
func (w *world) shows(t *testing.T, plugin, hash string, asks ...string) {
	t.Helper()
	in := vault.Introduction{Plugin: plugin, Hash: hash, Version: "v-" + hash}
	for _, ask := range asks {
		if hook, ok := strings.CutPrefix(ask, "/"); ok {
			in.Hooks = append(in.Hooks, hook)
		} else {
			in.Declarations = append(in.Declarations, secrets.Declaration{Name: ask, Description: ask + " of " + plugin})
		}
	}
	if err := w.Introduce(ctx, in); err != nil {
		t.Fatal(err)
	}
}

func secret(name string) vault.Request { return vault.Request{Kind: vault.RequestSecret, Name: name} }
func hook(name string) vault.Request   { return vault.Request{Kind: vault.RequestHook, Name: name} }

// may asserts that a plugin can use a secret, or is told why it cannot. What it
// is told does not depend on whether there is a value.
func (w *world) may(t *testing.T, name, secret string, want error) {
	t.Helper()
	_, err := w.Get(ctx, plugin(name, ""), secret)
	if want == nil && errors.Is(err, secrets.ErrNotSet) {
		err = nil // allowed, but there is none
	}
	if !errors.Is(err, want) {
		t.Errorf("%s gets %s: %v, want %v", name, secret, err, want)
	}
	allowed, _ := w.CanAccess(ctx, plugin(name, ""), secret)
	if allowed != (want == nil) {
		t.Errorf("CanAccess of %s to %s is %t", name, secret, allowed)
	}
}

func (w *world) approve(t *testing.T, plugin string, requests ...vault.Request) []vault.Request {
	t.Helper()
	approved, err := w.Approve(ctx, root, plugin, requests...)
	if err != nil {
		t.Fatal(err)
	}
	return approved
}

// decisions is what the file recorded, without times: "id actor proof plugin
// decision kind name hash" each.
func (w *world) decisions(t *testing.T) []string {
	t.Helper()
	return w.query(t, `select coalesce(actor_id, '-') || ' ' || coalesce(proof, '-') || ' ' || plugin || ' ' || decision ||
		coalesce(' ' || kind || ' ' || name, '') || ' ' || coalesce(hash, '-') from datasette_secrets_plugin_decisions order by id`)
}

func (w *world) query(t *testing.T, query string) []string {
	t.Helper()
	file, err := sql.Open("sqlite3", "file:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := file.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var texts []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFirstUseIsTrustedAndRecorded(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "OWM_KEY", "/menu", "/authenticator")
	w.may(t, "weather", "OWM_KEY", nil)
	if !w.MayServe("weather", vault.HookMenu) {
		t.Error("the menu is not granted")
	}
	if w.MayServe("weather", vault.HookAuthenticator) {
		t.Error("a privileged hook is granted without asking anybody")
	}
	wantLines(t, w.decisions(t)[2:], // the first two are the demo's
		"- - weather first-use secret OWM_KEY h1",
		"- - weather first-use hook menu h1",
	)
	w.shows(t, "weather", "h1", "OWM_KEY", "/menu", "/authenticator")
	if n := len(w.decisions(t)); n != 4 {
		t.Errorf("%d decisions after the same introduction, want 4", n)
	}
	times := w.query(t, "select distinct time from datasette_secrets_plugin_decisions")
	wantLines(t, times, "2026-01-02 03:04:05")
}

// The second plugin that declares a name reads nothing until it is shared,
// whether or not the secret is set.
func TestNameOfAnotherPluginHasToBeShared(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "thief", "h1", "API_KEY", "PASSWORD", "OWN")
	put(t, w, "API_KEY", "valuable", "")
	w.env["DATASETTE_SECRETS_PASSWORD"] = "from the environment"
	w.may(t, "thief", "API_KEY", secrets.ErrNotApproved)
	w.may(t, "thief", "PASSWORD", secrets.ErrNotApproved)
	w.may(t, "thief", "OWN", nil)
	status, err := w.Status(ctx, plugin("thief", ""))
	if err != nil || fmt.Sprint(status) != "[{API_KEY false } {PASSWORD false } {OWN false }]" {
		t.Errorf("it is told %v, %v", status, err)
	}
	if _, err := w.Approve(ctx, root, "thief"); err != nil { // all of it, but nothing of others
		t.Fatal(err)
	}
	w.may(t, "thief", "API_KEY", secrets.ErrNotApproved)
	w.approve(t, "thief", secret("API_KEY"))
	w.may(t, "thief", "API_KEY", nil)
	w.may(t, "thief", "PASSWORD", secrets.ErrNotApproved)
	w.may(t, "demo", "API_KEY", nil)
	wantLines(t, w.decisions(t)[2:],
		"- - thief first-use secret OWN h1",
		"root signed-in thief share secret API_KEY h1",
	)
}

// A newcomer cannot tell administrators another story about a secret that is
// not its own, even if its name sorts first.
func TestDeclarationOfTheHolderCounts(t *testing.T) {
	t.Parallel()
	w := open(t)
	err := w.Introduce(ctx, vault.Introduction{Plugin: "aaa", Declarations: []secrets.Declaration{
		{Name: "API_KEY", Description: "send it to me", ObtainURL: "https://evil.example", ObtainLabel: "here", Pattern: "^never$"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := show(t, w, "API_KEY")
	if s.Declaration.Description != "API_KEY of demo" || s.Declaration.Pattern != "" {
		t.Errorf("administrators are told %+v", s.Declaration)
	}
	w.approve(t, "aaa", secret("API_KEY"))
	if s, _ = show(t, w, "API_KEY"); s.Declaration.Description != "API_KEY of demo" {
		t.Errorf("after sharing, administrators are told %+v", s.Declaration)
	}
}

// An upgrade gets what the plugin had, and waits for the rest.
func TestUpgradeKeepsTheOldAndWaitsForTheNew(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "OLD")
	w.shows(t, "weather", "h2", "OLD", "NEW", "/http")
	w.may(t, "weather", "OLD", nil)
	w.may(t, "weather", "NEW", secrets.ErrNotApproved)
	if w.MayServe("weather", vault.HookHTTP) {
		t.Error("the new hook is granted")
	}
	for range 3 { // starting again changes nothing
		w.shows(t, "weather", "h2", "OLD", "NEW", "/http")
		w.reopen(t)
		w.shows(t, "weather", "h2", "OLD", "NEW", "/http")
		w.may(t, "weather", "NEW", secrets.ErrNotApproved)
	}
	if got := w.Pending(root); got["weather"] != 2 || len(got) != 1 {
		t.Errorf("pending: %v", got)
	}
	if got := w.approve(t, "weather"); fmt.Sprint(got) != "[secret NEW hook http]" {
		t.Errorf("approved %v", got)
	}
	w.may(t, "weather", "NEW", nil)
	if len(w.Pending(root)) != 0 || !w.MayServe("weather", vault.HookHTTP) {
		t.Error("approving did not count")
	}
}

// The same program on an upgraded host asks for more too: nobody decided it.
func TestNoNewGrantWithoutAnotherProgram(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "OLD")
	w.shows(t, "weather", "h1", "OLD", "DYNAMIC")
	w.may(t, "weather", "DYNAMIC", secrets.ErrNotApproved)
}

// A granted name that the plugin does not declare any more is not readable,
// and is again once it does.
func TestGrantNeedsADeclaration(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A", "B")
	w.shows(t, "weather", "h2", "A")
	w.may(t, "weather", "B", secrets.ErrNotDeclared)
	w.shows(t, "weather", "h3", "A", "B")
	w.may(t, "weather", "B", nil)
}

// A plugin that asks for something else each time it starts neither gets any of
// it nor fills the file.
func TestPluginThatAsksForSomethingElseEachTime(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A")
	w.shows(t, "weather", "h2", "A", "REFUSED")
	if _, err := w.Refuse(ctx, root, "weather"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		names := []string{"A"}
		for j := range 10 {
			names = append(names, fmt.Sprintf("NAME_%d_%d", i, j))
		}
		w.shows(t, "weather", fmt.Sprint("h", i), names...)
		w.may(t, "weather", names[1], secrets.ErrNotApproved)
	}
	rows := w.query(t, "select state || ' ' || count(*) from datasette_secrets_plugin_requests where plugin = 'weather' group by state order by state")
	wantLines(t, rows, "granted 1", "pending 10", "refused 1")
	w.shows(t, "weather", "h2", "A", "NAME_0_0") // again
	w.may(t, "weather", "NAME_0_0", secrets.ErrNotApproved)
}

func TestRefusedStaysRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A")
	w.shows(t, "weather", "h2", "A", "B", "/menu")
	if got, err := w.Refuse(ctx, root, "weather"); err != nil || fmt.Sprint(got) != "[secret B hook menu]" {
		t.Fatalf("refused %v, %v", got, err)
	}
	for _, hash := range []string{"h2", "h3", "h2"} {
		w.reopen(t)
		w.shows(t, "weather", hash, "A", "B", "/menu")
		w.may(t, "weather", "B", secrets.ErrNotApproved)
		if got := w.approve(t, "weather"); len(got) != 0 {
			t.Errorf("approving what is pending approved %v", got)
		}
	}
	w.approve(t, "weather", secret("B"))
	w.may(t, "weather", "B", nil)

	// What was granted can be taken away.
	if _, err := w.Refuse(ctx, operator, "weather", secret("A")); err != nil {
		t.Fatal(err)
	}
	w.may(t, "weather", "A", secrets.ErrNotApproved)
	decisions := w.decisions(t)
	wantLines(t, decisions[len(decisions)-4:],
		"root signed-in weather refuse secret B h2",
		"root signed-in weather refuse hook menu h2",
		"root signed-in weather approve secret B h2",
		"op local weather refuse secret A h2",
	)
}

// A name that was taken from a plugin is nobody's: who is new may have it, and
// who asked before still waits.
func TestNameThatWasTakenAway(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "second", "h1", "API_KEY")
	if _, err := w.Refuse(ctx, root, "demo", secret("API_KEY")); err != nil {
		t.Fatal(err)
	}
	w.may(t, "demo", "API_KEY", secrets.ErrNotApproved)
	w.may(t, "second", "API_KEY", secrets.ErrNotApproved)
	w.shows(t, "third", "h1", "API_KEY")
	w.may(t, "third", "API_KEY", nil)
}

func TestPrivilegedHookHasToBeNamed(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "sso", "h1", "/authenticator")
	if got := w.approve(t, "sso"); len(got) != 0 {
		t.Errorf("approved %v", got)
	}
	w.approve(t, "sso", hook(vault.HookAuthenticator))
	if !w.MayServe("sso", vault.HookAuthenticator) || w.MayServe("sso", vault.HookMenu) || w.MayServe("demo", vault.HookAuthenticator) {
		t.Error("the grant is not exactly the one that was given")
	}
}

// Only administrators of plugins decide; a plugin never does, whoever it says
// it acts for.
func TestWhoDecides(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "thief", "h1", "API_KEY")
	before := w.decisions(t)
	for name, caller := range map[string]secrets.Caller{
		"anonymous":        anonymous,
		"mallory":          mallory,
		"alice":            alice, // manages secrets only
		"plugin":           plugin("thief", ""),
		"plugin as root":   plugin("thief", "root"),
		"plugin, proven":   {Plugin: "thief", Actor: root.Actor, Proof: secrets.ProofProven},
		"plugin, as local": {Plugin: "thief", Actor: root.Actor, Proof: secrets.ProofLocal},
		"as a plugin says": {Actor: root.Actor, Proof: secrets.ProofVouched},
		"nobody, local":    {Proof: secrets.ProofLocal},
		"null, local":      {Actor: secrets.Actor{"id": nil}, Proof: secrets.ProofLocal},
	} {
		_, err := w.Approve(ctx, caller, "thief", secret("API_KEY"))
		_, err2 := w.Refuse(ctx, caller, "demo", secret("API_KEY"))
		err3, err4 := w.DisablePlugin(ctx, caller, "demo"), w.EnablePlugin(ctx, caller, "demo")
		for _, err := range []error{err, err2, err3, err4} {
			if !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if caller.Proof == secrets.ProofLocal && caller.Plugin == "" {
			continue // may look
		}
		if _, err := w.Plugins(ctx, caller); !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%s may look: %v", name, err)
		}
		if n := len(w.Pending(caller)); n != 0 {
			t.Errorf("%s is told of %d pending", name, n)
		}
	}
	if after := w.decisions(t); len(after) != len(before) {
		t.Errorf("decided: %v", after[len(before):])
	}
	w.may(t, "thief", "API_KEY", secrets.ErrNotApproved)
	if _, err := w.Approve(ctx, operator, "thief", secret("API_KEY")); err != nil {
		t.Error(err)
	}
}

func TestDisabledPluginReadsNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A", "/menu")
	if err := w.DisablePlugin(ctx, root, "weather"); err != nil {
		t.Fatal(err)
	}
	if !w.PluginDisabled("weather") || w.MayServe("weather", vault.HookMenu) || w.PluginDisabled("demo") {
		t.Error("it is not turned off, or another one is too")
	}
	w.may(t, "weather", "A", secrets.ErrNotApproved)
	w.reopen(t)
	w.shows(t, "weather", "h1", "A", "/menu") // even if somebody starts it
	w.may(t, "weather", "A", secrets.ErrNotApproved)
	for range 2 { // the second time there is nothing to do
		if err := w.EnablePlugin(ctx, operator, "weather"); err != nil {
			t.Fatal(err)
		}
	}
	w.may(t, "weather", "A", nil)
	decisions := w.decisions(t)
	wantLines(t, decisions[len(decisions)-2:], "root signed-in weather disable h1", "op local weather enable h1")
}

// A plugin that fails before it says anything can be turned off. Once it is
// turned on, its first introduction is its first.
func TestDisablingBeforeTheFirstIntroduction(t *testing.T) {
	t.Parallel()
	w := open(t)
	if err := w.DisablePlugin(ctx, root, "broken"); err != nil {
		t.Fatal(err)
	}
	w.reopen(t)
	if !w.PluginDisabled("broken") {
		t.Error("it was forgotten")
	}
	if err := w.EnablePlugin(ctx, root, "broken"); err != nil {
		t.Fatal(err)
	}
	w.shows(t, "broken", "h1", "MINE", "API_KEY")
	w.may(t, "broken", "MINE", nil)
	w.may(t, "broken", "API_KEY", secrets.ErrNotApproved)
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := open(t)
	_, err := w.Approve(ctx, root, "nobody")
	wantError(t, err, secrets.ErrNotFound)
	_, err = w.Refuse(ctx, root, "demo", secret("API_KEY"), secret("NEVER"))
	wantError(t, err, secrets.ErrNotFound)
	w.may(t, "demo", "API_KEY", nil) // all or nothing
	wantError(t, w.DisablePlugin(ctx, root, "../etc"), secrets.ErrNotFound)
	wantError(t, w.Introduce(ctx, vault.Introduction{Plugin: "demo", Hooks: []string{"root"}}), secrets.ErrInvalid)
}

// Two plugins seen for the first time at once ask for one name: one of them
// gets it, and the other has to wait.
func TestRaceForAName(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		w := open(t)
		other := w.second(t) // as another process
		var race sync.WaitGroup
		for i, v := range []*vault.Vault{w.Vault, other, w.Vault, other} {
			race.Go(func() {
				err := v.Introduce(ctx, vault.Introduction{
					Plugin: fmt.Sprint("p", i), Declarations: []secrets.Declaration{{Name: "WANTED"}},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		race.Wait()
		got := w.query(t, "select state from datasette_secrets_plugin_requests where name = 'WANTED' order by state")
		if !slices.Equal(got, []string{"granted", "pending", "pending", "pending"}) {
			t.Errorf("round %d: %v", round, got)
		}
	}
}

// Whatever another process decides about the same file counts here after
// Refresh.
func TestRefreshBringsDecisionsOfOthers(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A")
	w.shows(t, "weather", "h2", "A", "B")
	commandLine := w.second(t)
	if err := commandLine.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	refresh := func() {
		t.Helper()
		if err := w.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := commandLine.Approve(ctx, operator, "weather"); err != nil {
		t.Fatal(err)
	}
	refresh()
	w.may(t, "weather", "B", nil)
	if err := commandLine.DisablePlugin(ctx, operator, "weather"); err != nil {
		t.Fatal(err)
	}
	refresh()
	if !w.PluginDisabled("weather") {
		t.Error("it is still turned on")
	}
	if err := commandLine.EnablePlugin(ctx, operator, "weather"); err != nil {
		t.Fatal(err)
	}
	if _, err := commandLine.Refuse(ctx, operator, "weather", secret("A")); err != nil {
		t.Fatal(err)
	}
	refresh()
	w.may(t, "weather", "A", secrets.ErrNotApproved)
}

// What cannot be recorded does not happen: a file that nobody can write gives
// a plugin no declaration and no grant.
func TestIntroductionThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	w := open(t)
	locker, err := sql.Open("sqlite3", "file:"+w.path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer locker.Close()
	locked, err := locker.Begin()
	if err != nil {
		t.Fatal(err)
	}
	err = w.Introduce(ctx, vault.Introduction{Plugin: "late", Hash: "h1", Declarations: []secrets.Declaration{{Name: "A"}}})
	wantError(t, err, secrets.ErrUnavailable)
	if ok, err := w.CanAccess(ctx, plugin("late", ""), "A"); ok || err != nil {
		t.Errorf("it may read: %v, %v", ok, err)
	}
	if err := locked.Rollback(); err != nil {
		t.Fatal(err)
	}
	w.shows(t, "late", "h1", "A")
	w.may(t, "late", "A", nil)
}

func TestKnownIsTheLastIntroductionOfThatProgram(t *testing.T) {
	t.Parallel()
	w := open(t)
	in := vault.Introduction{
		Plugin: "weather", Hash: "h1", Version: "1.2", Hooks: []string{"http", "menu"},
		Declarations: []secrets.Declaration{{
			Name: "A", Description: "d <b>", ObtainURL: "https://x.example", ObtainLabel: "get", Pattern: "^a$",
			Example: "e", Multiline: true, Redact: secrets.Redact{Prefix: 2, Suffix: 3},
		}},
	}
	if err := w.Introduce(ctx, in); err != nil {
		t.Fatal(err)
	}
	w.reopen(t)
	got, ok := w.Known("weather", "h1")
	if !ok || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", in) {
		t.Errorf("got %+v, %t", got, ok)
	}
	for _, c := range [][2]string{{"weather", "h2"}, {"weather", ""}, {"demo", ""}, {"nobody", "h1"}} {
		if got, ok := w.Known(c[0], c[1]); ok {
			t.Errorf("%v is known: %+v", c, got)
		}
	}
}

func TestPluginsTellsEverything(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A", "DROPPED")
	w.shows(t, "weather", "h2", "A", "API_KEY", "/menu")
	if err := w.DisablePlugin(ctx, operator, "weather"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Refuse(ctx, root, "weather", hook("menu")); err != nil {
		t.Fatal(err)
	}
	plugins, err := w.Plugins(ctx, root)
	if err != nil || len(plugins) != 2 {
		t.Fatalf("got %+v, %v", plugins, err)
	}
	p := plugins[1]
	if p.Name != "weather" || p.Hash != "h2" || p.Version != "v-h2" || p.DisabledBy != "op" || p.DisabledAt != "2026-01-02 03:04:05" || p.FirstSeenAt != p.SeenAt || p.SeenAt == "" {
		t.Errorf("got %+v", p)
	}
	var got []string
	for _, r := range p.Requests {
		got = append(got, fmt.Sprintf("%s %s asked=%t by=%q others=%v delicate=%t", r.Request, r.State, r.Asked, r.DecidedBy, r.HeldBy, r.Delicate))
	}
	wantLines(t, got,
		`secret A granted asked=true by="" others=[] delicate=false`,
		`secret DROPPED granted asked=false by="" others=[] delicate=false`,
		`secret API_KEY pending asked=true by="" others=[demo] delicate=true`,
		`hook menu refused asked=true by="root" others=[] delicate=false`,
	)
	decisions, err := w.PluginDecisions(ctx, root, "weather")
	if err != nil || len(decisions) != 4 || decisions[0].Decision != "refuse" || decisions[0].ActorID != "root" || decisions[0].Hash != "h2" {
		t.Errorf("got %+v, %v", decisions, err)
	}
}

// Decisions are only ever added, whoever writes to the file.
func TestDecisionsStay(t *testing.T) {
	t.Parallel()
	w := open(t)
	file, err := sql.Open("sqlite3", "file:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, statement := range []string{
		"update datasette_secrets_plugin_decisions set actor_id = 'root'",
		"delete from datasette_secrets_plugin_decisions",
	} {
		if _, err := file.Exec(statement); err == nil || !strings.Contains(err.Error(), "only ever added") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if n := len(w.decisions(t)); n != 2 {
		t.Errorf("%d decisions are left, want 2", n)
	}
}

// A list in the file that cannot be read takes nothing from anybody, and gives
// nothing.
func TestDamagedIntroduction(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.shows(t, "weather", "h1", "A")
	w.shows(t, "weather", "h2", "A", "B")
	w.query(t, `update datasette_secrets_plugins set declarations = '{"not": "a list', hooks = '7' returning name`)
	if err := w.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.may(t, "weather", "A", nil)
	w.may(t, "weather", "B", secrets.ErrNotApproved)
	w.shows(t, "weather", "h2", "A", "B")
	w.may(t, "weather", "B", secrets.ErrNotApproved)
	if w.Pending(root)["weather"] != 1 {
		t.Errorf("pending: %v", w.Pending(root))
	}
}
