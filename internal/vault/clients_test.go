package vault_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func client(name, actor string) secrets.Caller {
	return secrets.Caller{Client: name, Actor: secrets.NewActor(actor), Proof: secrets.ProofAsserted}
}

func addClient(t *testing.T, w *world, c vault.NewClient) string {
	t.Helper()
	token, err := w.AddClient(ctx, root, c)
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

func TestClientReadsWhatItWasGranted(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	put(t, w, "PASSWORD", "hunter2", "")
	token := addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"API_KEY"}})
	name, err := w.ClientOf(token)
	if err != nil || name != "billing" {
		t.Fatalf("the token belongs to %q, %v", name, err)
	}
	found, err := w.Get(ctx, client("billing", "alice"), "API_KEY")
	if err != nil || found.Value.Reveal() != "sk-1" || found.Version != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
	_, err = w.Get(ctx, client("billing", "root"), "PASSWORD")
	wantError(t, err, secrets.ErrNotDeclared)
	_, err = w.Get(ctx, client("unheard-of", "root"), "API_KEY")
	wantError(t, err, secrets.ErrDenied)
	list, err := w.ClientSecrets(ctx, client("billing", ""))
	want := []vault.ClientSecret{{Name: "API_KEY", State: vault.RequestGranted, Set: true, Source: vault.SourceDatabase, Version: 1}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("got %+v, %v; want %+v", list, err, want)
	}
}

// Of a token nothing is kept from which it could be made again.
func TestTokenIsKeptNowhere(t *testing.T) {
	t.Parallel()
	w := open(t)
	token := addClient(t, w, vault.NewClient{Name: "billing"})
	for _, name := range []string{"", "-wal"} {
		text, err := os.ReadFile(w.path + name)
		if err != nil || strings.Contains(string(text), token[:20]) || strings.Contains(string(text), token[20:]) {
			t.Errorf("internal.db%s holds the token, or %v", name, err)
		}
	}
	if another := addClient(t, w, vault.NewClient{Name: "another"}); another == token || len(another) != len(token) {
		t.Error("two clients have the same token")
	}
}

// What a token is not: cut, long, another one's, in other letters.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	w := open(t)
	token := addClient(t, w, vault.NewClient{Name: "billing"})
	flip := map[bool]byte{true: 'b', false: 'a'}
	swapped := token[:30] + string(flip[token[30] == 'a']) + token[31:]
	other := open(t)
	wrong := []string{"", "dssc_", token[:53], token + "0", " " + token, token + "\n", strings.ToLower(token), strings.ToUpper(token),
		strings.Replace(token, "dssc_", "dstok_", 1), swapped, strings.Repeat("dssc_", 11), strings.Repeat("a", 1<<16),
		addClient(t, other, vault.NewClient{Name: "billing"})}
	for _, text := range wrong {
		name, err := w.ClientOf(text)
		if name != "" || !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("%.60q belongs to %q, %v", text, name, err)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats it: %v", err)
		}
	}
	if _, err := w.ClientOf(swapped); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a typing error is told as %v", err)
	}
}

// What another process revokes is refused after the next look at the file, and
// what this one does at once.
func TestRevoked(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	token := addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"API_KEY"}, Write: true})
	other := w.second(t)
	if err := other.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ClientOf(token); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeClient(ctx, root, "billing"); err != nil {
		t.Fatal(err)
	}
	if err := other.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*vault.Vault{w.Vault, other} {
		_, err := v.ClientOf(token)
		wantError(t, err, secrets.ErrDenied)
		_, err = v.Get(ctx, client("billing", ""), "API_KEY")
		wantError(t, err, secrets.ErrDenied)
		_, err = v.PutIf(ctx, client("billing", ""), "API_KEY", secrets.NewValue("x"), "", vault.Condition{Any: true})
		wantError(t, err, secrets.ErrDenied)
	}
	_, err := w.DeclareClient(ctx, client("billing", ""), []secrets.Declaration{{Name: "A"}}, false)
	wantError(t, err, secrets.ErrDenied)
	_, err = w.RotateClient(ctx, root, "billing", 0)
	wantError(t, err, secrets.ErrInvalid)
	_, err = w.ApproveClient(ctx, root, "billing", "PASSWORD")
	wantError(t, err, secrets.ErrInvalid)
	// The name stays taken: the log must not mean two applications by it.
	_, err = w.AddClient(ctx, root, vault.NewClient{Name: "billing"})
	wantError(t, err, secrets.ErrInvalid)
}

func TestExpiredAndRotatedTokens(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	first := addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"API_KEY"}, Lifetime: time.Hour})
	w.time = w.time.Add(time.Hour - time.Second)
	if _, err := w.ClientOf(first); err != nil {
		t.Fatal(err)
	}
	w.time = w.time.Add(time.Second)
	_, err := w.ClientOf(first)
	wantError(t, err, secrets.ErrDenied)
	_, err = w.Get(ctx, client("billing", ""), "API_KEY")
	wantError(t, err, secrets.ErrDenied)

	second, err := w.RotateClient(ctx, root, "billing", 0)
	if err != nil {
		t.Fatal(err)
	}
	third, err := w.RotateClient(ctx, root, "billing", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]bool{first: false, second.Reveal(): true, third.Reveal(): true} {
		if _, err := w.ClientOf(token); (err == nil) != want {
			t.Errorf("during the overlap: %v, want allowed %v", err, want)
		}
	}
	w.time = w.time.Add(time.Minute)
	_, err = w.ClientOf(second.Reveal())
	wantError(t, err, secrets.ErrDenied)
	if _, err := w.ClientOf(third.Reveal()); err != nil {
		t.Error(err)
	}
	list, err := w.Clients(ctx, root)
	if err != nil || list[0].ExpiresAt != "2026-01-02 05:04:05" || list[0].RotatedBy != "root" {
		t.Errorf("the new token lasts as long as the old one: got %+v, %v", list, err)
	}
	for _, overlap := range []time.Duration{-1, vault.MaxOverlap + 1} {
		_, err := w.RotateClient(ctx, root, "billing", overlap)
		wantError(t, err, secrets.ErrInvalid)
	}
}

// Clients and plugins cannot take each other's place, whatever they are called.
func TestClientsAndPluginsOfOneName(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	addClient(t, w, vault.NewClient{Name: "demo"})
	_, err := w.Get(ctx, client("demo", ""), "API_KEY") // which the plugin demo may read
	wantError(t, err, secrets.ErrNotDeclared)
	addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"API_KEY"}})
	_, err = w.Get(ctx, plugin("billing", ""), "API_KEY")
	wantError(t, err, secrets.ErrNotDeclared)
	for _, name := range []string{"client billing", "client demo", "client "} {
		_, err = w.Get(ctx, plugin(name, ""), "API_KEY")
		wantError(t, err, secrets.ErrDenied)
		wantError(t, introduce(w, name, []secrets.Declaration{{Name: "API_KEY"}}), secrets.ErrInvalid)
		wantError(t, w.EnablePlugin(ctx, root, name), secrets.ErrNotFound)
		wantError(t, w.DisablePlugin(ctx, root, name), secrets.ErrNotFound)
		_, err = w.Approve(ctx, root, name)
		wantError(t, err, secrets.ErrNotFound)
		_, err = w.AddClient(ctx, root, vault.NewClient{Name: name})
		wantError(t, err, secrets.ErrInvalid)
		_, err = w.Get(ctx, client(name, ""), "API_KEY")
		wantError(t, err, secrets.ErrDenied)
	}
	both := secrets.Caller{Plugin: "demo", Client: "billing"}
	_, err = w.Get(ctx, both, "API_KEY")
	wantError(t, err, secrets.ErrDenied)
	if plugins, _ := w.Plugins(ctx, root); len(plugins) != 1 || plugins[0].Name != "demo" {
		t.Errorf("plugins: %+v", plugins)
	}
	if pending := w.Pending(root); len(pending) != 0 {
		t.Errorf("pending of plugins: %v", pending)
	}
}

func TestWhatAClientDeclaresIsPending(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"FIRST"}})
	me := client("billing", "")
	ds := []secrets.Declaration{{Name: "API_KEY", Description: "give me"}, {Name: "OWN", Description: "mine"}, {Name: "FIRST"}}
	declared, err := w.DeclareClient(ctx, me, ds, false)
	if err != nil || len(declared) != 3 || declared[0].State != vault.RequestPending || declared[1].State != vault.RequestPending || declared[2].State != vault.RequestGranted {
		t.Fatalf("got %+v, %v", declared, err)
	}
	_, err = w.Get(ctx, me, "OWN")
	wantError(t, err, secrets.ErrNotApproved)
	_, err = w.Get(ctx, me, "API_KEY")
	wantError(t, err, secrets.ErrNotApproved)

	// Without names, what a plugin holds is left out: it is shared only by name.
	approved, err := w.ApproveClient(ctx, root, "billing")
	if err != nil || !slices.Equal(approved, []string{"OWN"}) {
		t.Fatalf("approved %v, %v", approved, err)
	}
	if approved, err = w.ApproveClient(ctx, root, "billing", "API_KEY", "API_KEY"); err != nil || !slices.Equal(approved, []string{"API_KEY"}) {
		t.Fatalf("shared %v, %v", approved, err)
	}
	put(t, w, "OWN", "mine", "")
	if _, err := w.Get(ctx, me, "OWN"); err != nil {
		t.Error(err)
	}
	// The plugin's story about its secret counts, not the client's.
	secret, _, err := w.Show(ctx, root, "API_KEY")
	if err != nil || secret.Declaration.Description != "API_KEY of demo" || !slices.Equal(secret.DeclaredBy, []string{"client billing", "demo"}) {
		t.Errorf("got %+v, %v", secret, err)
	}
	// A secret that only a client holds is no newcomer's at first sight.
	declare(t, w, "late", "OWN")
	_, err = w.Get(ctx, plugin("late", ""), "OWN")
	wantError(t, err, secrets.ErrNotApproved)

	if refused, err := w.RefuseClient(ctx, root, "billing", "API_KEY"); err != nil || len(refused) != 1 {
		t.Fatal(refused, err)
	}
	_, err = w.Get(ctx, me, "API_KEY")
	wantError(t, err, secrets.ErrNotApproved)
	// What was refused stays refused, whatever is declared again.
	for _, ds := range [][]secrets.Declaration{nil, {{Name: "API_KEY"}}} {
		if _, err := w.DeclareClient(ctx, me, ds, false); err != nil {
			t.Fatal(err)
		}
	}
	if declared, _ := w.Declared(me); len(declared) != 1 || declared[0].State != vault.RequestRefused {
		t.Errorf("got %+v", declared)
	}
	// More is added to what was said before, and what is withdrawn leaves nothing.
	for range 2 {
		if declared, err = w.DeclareClient(ctx, me, []secrets.Declaration{{Name: "API_KEY", Description: "new"}, {Name: "MORE"}}, true); err != nil || len(declared) != 2 || declared[0].Description != "new" {
			t.Errorf("got %+v, %v", declared, err)
		}
	}
	if _, err := w.DeclareClient(ctx, me, nil, false); err != nil {
		t.Fatal(err)
	}
	list, _ := w.Clients(ctx, root)
	for _, r := range list[0].Requests {
		if r.Name == "MORE" {
			t.Errorf("left: %+v", r)
		}
	}
}

func TestClientDeclaresTooMuch(t *testing.T) {
	t.Parallel()
	w := open(t)
	addClient(t, w, vault.NewClient{Name: "billing"})
	me := client("billing", "")
	var many []secrets.Declaration
	for i := range vault.MaxDeclarations {
		many = append(many, secrets.Declaration{Name: "A" + strings.Repeat("a", i%200) + string(rune('A'+i/200))})
	}
	if _, err := w.DeclareClient(ctx, me, many, false); err != nil {
		t.Fatal(err)
	}
	_, err := w.DeclareClient(ctx, me, []secrets.Declaration{{Name: "ONE_MORE"}}, true)
	wantError(t, err, secrets.ErrInvalid)
	for _, name := range []string{"", ".", "..", "a/b", "a b", "a%2Fb", "ü", strings.Repeat("a", 256)} {
		_, err := w.DeclareClient(ctx, me, []secrets.Declaration{{Name: name}}, true)
		wantError(t, err, secrets.ErrInvalid)
		_, err = w.ApproveClient(ctx, root, "billing", name)
		wantError(t, err, secrets.ErrInvalid)
	}
}

// Whom a plugin signed in, and plugins and clients themselves, make no clients:
// they could read everything by them.
func TestWhoDecidesAboutClients(t *testing.T) {
	t.Parallel()
	w := open(t)
	addClient(t, w, vault.NewClient{Name: "billing", Secrets: []string{"API_KEY"}, Write: true})
	vouched := secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofVouched}
	for _, who := range []secrets.Caller{anonymous, mallory, vouched, plugin("demo", "root"), client("billing", "root"), {Plugin: "demo", Proof: secrets.ProofLocal}} {
		_, err := w.AddClient(ctx, who, vault.NewClient{Name: "evil"})
		wantError(t, err, secrets.ErrDenied)
		_, err = w.RotateClient(ctx, who, "billing", 0)
		wantError(t, err, secrets.ErrDenied)
		_, err = w.ApproveClient(ctx, who, "billing", "PASSWORD")
		wantError(t, err, secrets.ErrDenied)
		_, err = w.RefuseClient(ctx, who, "billing")
		wantError(t, err, secrets.ErrDenied)
		wantError(t, w.RevokeClient(ctx, who, "billing"), secrets.ErrDenied)
		_, err = w.Clients(ctx, who)
		wantError(t, err, secrets.ErrDenied)
	}
	// And clients do no other act of administrators.
	me := client("billing", "root")
	_, err := w.List(ctx, me)
	wantError(t, err, secrets.ErrDenied)
	_, err = w.Put(ctx, me, "API_KEY", secrets.NewValue("x"), "")
	wantError(t, err, secrets.ErrDenied)
	wantError(t, w.Delete(ctx, me, "API_KEY"), secrets.ErrDenied)
	_, err = w.Plugins(ctx, me)
	wantError(t, err, secrets.ErrDenied)
	_, err = w.Approve(ctx, secrets.Caller{Client: "billing", Proof: secrets.ProofLocal}, "demo")
	wantError(t, err, secrets.ErrDenied)
}

func TestWritesWithACondition(t *testing.T) {
	t.Parallel()
	w := open(t)
	addClient(t, w, vault.NewClient{Name: "writer", Secrets: []string{"A"}, Write: true})
	addClient(t, w, vault.NewClient{Name: "reader", Secrets: []string{"A"}})
	me := client("writer", "alice")
	write := func(c vault.Condition) (int64, error) {
		return w.PutIf(ctx, me, "A", secrets.NewValue("text"), "", c)
	}
	steps := []struct {
		condition vault.Condition
		version   int64 // 0: a conflict
	}{
		{vault.Condition{Version: 1}, 0}, {vault.Condition{Any: true}, 0}, {vault.Condition{}, 1}, {vault.Condition{}, 0},
		{vault.Condition{Version: 2}, 0}, {vault.Condition{Version: 1}, 2}, {vault.Condition{Version: 1}, 0}, {vault.Condition{Any: true}, 3},
	}
	for _, step := range steps {
		version, err := write(step.condition)
		if conflict := new(vault.Conflict); version != step.version || (step.version == 0) != errors.As(err, &conflict) {
			t.Errorf("%+v: got %d, %v", step, version, err)
		}
	}
	wantError(t, w.DeleteIf(ctx, me, "A", vault.Condition{Version: 2}), secrets.ErrInvalid)
	if err := w.DeleteIf(ctx, me, "A", vault.Condition{Version: 3}); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.DeleteIf(ctx, me, "A", vault.Condition{Any: true}), secrets.ErrInvalid)
	if version, err := write(vault.Condition{}); err != nil || version != 5 {
		t.Errorf("after the tombstone: %d, %v", version, err)
	}
	// Not an administrator, and not alice, whatever the client says.
	secret, _, _ := w.Show(ctx, root, "A")
	if secret.UpdatedBy != "client writer" {
		t.Errorf("updated by %q", secret.UpdatedBy)
	}
	_, err := w.PutIf(ctx, client("reader", ""), "A", secrets.NewValue("x"), "", vault.Condition{Any: true})
	wantError(t, err, vault.ErrReadOnly)
	wantError(t, w.DeleteIf(ctx, client("reader", ""), "A", vault.Condition{Any: true}), vault.ErrReadOnly)
	_, err = w.PutIf(ctx, me, "API_KEY", secrets.NewValue("x"), "", vault.Condition{})
	wantError(t, err, secrets.ErrNotDeclared)
	_, err = w.PutIf(ctx, plugin("demo", "root"), "API_KEY", secrets.NewValue("x"), "", vault.Condition{})
	wantError(t, err, secrets.ErrDenied)
	_, err = w.PutIf(ctx, root, "API_KEY", secrets.NewValue("x"), "", vault.Condition{})
	wantError(t, err, secrets.ErrDenied)
}

func TestClientWatches(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "sk-1", "")
	addClient(t, w, vault.NewClient{Name: "demo", Secrets: []string{"API_KEY"}})
	me := client("demo", "")
	_, err := w.Watch(ctx, me, []string{"PASSWORD"}, "") // the plugin demo may
	wantError(t, err, secrets.ErrNotDeclared)
	watcher, err := w.Watch(ctx, me, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	put(t, w, "PASSWORD", "hunter2", "")
	put(t, w, "API_KEY", "sk-2", "")
	if err := w.RevokeClient(ctx, root, "demo"); err != nil {
		t.Fatal(err)
	}
	last := vault.Change{}
	for last.Kind != vault.ChangeRevoked {
		if last, err = watcher.Next(ctx); err != nil {
			t.Fatal(err)
		}
		if last.Name == "PASSWORD" {
			t.Error("it is told of a secret that it may not read")
		}
	}
}

// The time of the last use is kept, but not for every use.
func TestLastUseOfAClient(t *testing.T) {
	t.Parallel()
	w := open(t)
	addClient(t, w, vault.NewClient{Name: "billing"})
	for i, want := range []string{"2026-01-02 03:04:05", "2026-01-02 03:04:05", "2026-01-02 03:05:05"} {
		w.NoteClient(ctx, "billing")
		if list, err := w.Clients(ctx, root); err != nil || list[0].LastUsedAt != want {
			t.Errorf("%d: got %+v, %v", i, list, err)
		}
		w.time = w.time.Add(30 * time.Second)
	}
}

func FuzzClientToken(f *testing.F) {
	f.Add("dssc_" + strings.Repeat("0", 49))
	f.Fuzz(func(t *testing.T, token string) {
		if vault.CheckClientToken(token) == nil && (len(token) != 54 || strings.ContainsAny(token, " \n\x00/+-")) {
			t.Errorf("%q counts as a token", token)
		}
	})
}
