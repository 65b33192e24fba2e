package vault_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	keyC  = "zp1tjqFvTpbPXfCVLZwMG0lYjKxR0PsDyrdCHcYyV2E="
	paper = "correct horse battery"
)

var console = secrets.Caller{Actor: secrets.NewActor("op"), Proof: secrets.ProofLocal}

func byPassphrase(t *testing.T, text string) seal.Means {
	t.Helper()
	means, err := seal.ByPassphrase(secrets.NewValue(text), seal.MinWorkFactor)
	if err != nil {
		t.Fatal(err)
	}
	return means
}

func byKey(t *testing.T, text string) seal.Means {
	t.Helper()
	means, err := seal.ByKey(secrets.NewValue(text))
	if err != nil {
		t.Fatal(err)
	}
	return means
}

func with(means ...seal.Means) []vault.Opening {
	var all []vault.Opening
	for _, m := range means {
		all = append(all, vault.Opening{Means: m})
	}
	return all
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sealed is a vault with a sealed keyring and the seals "paper", a passphrase,
// and "machine", the key C. It is open.
func sealed(t *testing.T) *world {
	t.Helper()
	w := open(t, func(c *vault.Config) { c.Keys = nil })
	ok(t, w.InitSeal(ctx, console, "paper", byPassphrase(t, paper)))
	ok(t, w.AddSeal(ctx, console, with(byPassphrase(t, paper)), "machine", byKey(t, keyC)))
	return w
}

// restart opens the file again, as a host does that finds seals.
func (w *world) restart(t *testing.T) {
	t.Helper()
	w.reopen(t, func(c *vault.Config) { c.Keys = nil })
	has, err := w.HasSeals(ctx)
	if err != nil || !has {
		t.Fatalf("the seals are gone: %v", err)
	}
	w.Seal()
}

func (w *world) unseal(t *testing.T, means ...seal.Means) {
	t.Helper()
	if _, err := w.Unseal(ctx, root, with(means...)); err != nil {
		t.Fatal(err)
	}
}

func TestSealedKeyring(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	put(t, w, "API_KEY", "one", "")
	for name, means := range map[string]seal.Means{"paper": byPassphrase(t, paper), "machine": byKey(t, keyC)} {
		w.restart(t)
		_, err := w.Get(ctx, plugin("demo", ""), "API_KEY")
		wantError(t, err, secrets.ErrSealed)
		got, err := w.Unseal(ctx, root, with(means))
		if err != nil || got != name {
			t.Errorf("opened by %q, %v; want %q", got, err, name)
		}
		wantValue(t, w, "API_KEY", "one")
	}
	infos, err := w.Seals(ctx, root)
	if err != nil || len(infos) != 2 || infos[0].Name != "paper" || infos[1].Kind != seal.Key || infos[1].CreatedBy != "op" {
		t.Errorf("got %+v, %v", infos, err)
	}
}

func TestUnsealRefuses(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	w.restart(t)
	try := func(caller secrets.Caller, openings []vault.Opening) error {
		_, err := w.Unseal(ctx, caller, openings)
		return err
	}
	right := with(byKey(t, keyC))
	wantError(t, try(mallory, right), secrets.ErrDenied)
	wantError(t, try(anonymous, right), secrets.ErrDenied)
	wantError(t, try(plugin("demo", "root"), right), secrets.ErrDenied)
	wantError(t, try(root, with(byKey(t, keyB))), secrets.ErrDenied)
	wantError(t, try(root, with(byPassphrase(t, "wrong"))), secrets.ErrDenied)
	wantError(t, try(root, nil), secrets.ErrSealed)
	wantError(t, try(root, []vault.Opening{{Seal: "paper", Means: byKey(t, keyC)}}), secrets.ErrSealed)
	if !w.Sealed() {
		t.Error("it is open")
	}
	ok(t, try(root, with(byKey(t, keyB), byPassphrase(t, "wrong"), byKey(t, keyC))))

	unsealed := open(t)
	_, err := unsealed.Unseal(ctx, root, right)
	wantError(t, err, secrets.ErrInvalid)
}

// Whoever tries is written down, and nobody can change that.
func TestUnsealIsRecorded(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	w.restart(t)
	_, _ = w.Unseal(ctx, alice, with(byPassphrase(t, "a wrong passphrase")))
	w.unseal(t, byKey(t, keyC))
	database := w.raw(t)
	var text string
	ok(t, database.QueryRow(`select group_concat(coalesce(actor_id, '') || ' ' || coalesce(proof, '') || ' ' || event || ' ' || coalesce(name, '') || ' ' || (failure is null), ', ')
		from (select * from datasette_secrets_key_events order by id)`).Scan(&text))
	want := "op local seal init paper 1, op local seal add machine 1, alice signed-in unseal  0, root signed-in unseal machine 1"
	if text != want {
		t.Errorf("recorded\n%s\nwant\n%s", text, want)
	}
	for _, statement := range []string{"delete from datasette_secrets_key_events", "update datasette_secrets_key_events set actor_id = 'x'"} {
		if _, err := database.Exec(statement); err == nil {
			t.Errorf("%s works", statement)
		}
	}
}

func (w *world) raw(t *testing.T) *sql.DB {
	t.Helper()
	database, err := sql.Open("sqlite3", w.path)
	ok(t, err)
	t.Cleanup(func() { database.Close() })
	return database
}

// Seals are changed by the operator of the machine: no page, no plugin.
func TestSealsAreTheOperators(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	means := byKey(t, keyC)
	for _, caller := range []secrets.Caller{root, mallory, anonymous, plugin("demo", "root"), {Plugin: "demo", Proof: secrets.ProofLocal}} {
		_, _, exported := w.ExportKey(ctx, caller, with(means), "")
		_, verified := w.VerifySeals(ctx, caller, with(means))
		for what, err := range map[string]error{
			"init":   w.InitSeal(ctx, caller, "x", means),
			"adopt":  w.AdoptKeys(ctx, caller, "x", means),
			"add":    w.AddSeal(ctx, caller, with(means), "x", means),
			"remove": w.RemoveSeal(ctx, caller, with(means), "paper"),
			"rewrap": w.RewrapSeal(ctx, caller, with(means), "machine", means),
			"root":   w.ReplaceRoot(ctx, caller, with(means, byPassphrase(t, paper))),
			"export": exported,
			"leave":  w.LeaveSeals(ctx, caller, with(means), keys(t, keyA)),
			"verify": verified,
		} {
			if !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s by %+v: %v", what, caller, err)
			}
		}
	}
	_, err := w.Seals(ctx, mallory)
	wantError(t, err, secrets.ErrDenied)
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	wantError(t, w.InitSeal(ctx, console, "again", byKey(t, keyA)), secrets.ErrInvalid)
	w.restart(t)
	wantError(t, w.InitSeal(ctx, console, "again", byKey(t, keyA)), secrets.ErrInvalid)
	w.unseal(t, byKey(t, keyC))
	wantError(t, w.AdoptKeys(ctx, console, "again", byKey(t, keyA)), secrets.ErrInvalid)

	configured := open(t)
	put(t, configured, "API_KEY", "one", "")
	wantError(t, configured.InitSeal(ctx, console, "a", byKey(t, keyC)), secrets.ErrInvalid)
	configured.reopen(t, func(c *vault.Config) { c.Keys = nil })
	wantError(t, configured.InitSeal(ctx, console, "a", byKey(t, keyC)), secrets.ErrInvalid)
	wantError(t, configured.AdoptKeys(ctx, console, "a", byKey(t, keyC)), secrets.ErrNotConfigured)
}

// A configured keyring goes under seal with all its keys in their order, and
// comes back.
func TestAdoptAndLeave(t *testing.T) {
	t.Parallel()
	list := []any{keyB, map[string]any{"name": "old", "key": keyA}}
	w := open(t, func(c *vault.Config) { c.Keys = keys(t, list[1:]) })
	put(t, w, "API_KEY", "of the old key", "")
	w.reopen(t, func(c *vault.Config) { c.Keys = keys(t, list) })
	ok(t, w.AdoptKeys(ctx, console, "machine", byKey(t, keyC)))
	w.restart(t)
	w.unseal(t, byKey(t, keyC))
	wantValue(t, w, "API_KEY", "of the old key")
	put(t, w, "PASSWORD", "of the first key", "")
	if _, versions := show(t, w, "PASSWORD"); versions[0].KeyName != "k2" {
		t.Errorf("encrypted with %q", versions[0].KeyName)
	}

	w.restart(t)
	for name, want := range map[string]string{"": keyB, "k2": keyB, "old": keyA} {
		value, exported, err := w.ExportKey(ctx, console, with(byKey(t, keyC)), name)
		if err != nil || value.Reveal() != want || name != "" && exported != name {
			t.Errorf("the key %q is not the adopted one: %v", name, err)
		}
	}
	_, _, err := w.ExportKey(ctx, console, with(byKey(t, keyC)), "nobody")
	wantError(t, err, secrets.ErrNotFound)
	_, _, err = w.ExportKey(ctx, console, with(byKey(t, keyB)), "")
	wantError(t, err, secrets.ErrDenied)

	// The seals stay until every key is in the configuration.
	for _, configured := range []any{keyA, keyB, []any{keyB, keyC}} {
		wantError(t, w.LeaveSeals(ctx, console, with(byKey(t, keyC)), keys(t, configured)), secrets.ErrInvalid)
	}
	wantError(t, w.LeaveSeals(ctx, console, with(byKey(t, keyB)), keys(t, list)), secrets.ErrDenied)
	ok(t, w.LeaveSeals(ctx, console, with(byKey(t, keyC)), keys(t, list)))
	w.reopen(t, func(c *vault.Config) { c.Keys = keys(t, list) })
	if has, err := w.HasSeals(ctx); has || err != nil {
		t.Errorf("there still are seals: %v", err)
	}
	wantValue(t, w, "API_KEY", "of the old key")
	wantValue(t, w, "PASSWORD", "of the first key")
}

func TestAddSealRefuses(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	for what, test := range map[string]struct {
		openings []vault.Opening
		name     string
		class    error
	}{
		"the name is taken": {with(byKey(t, keyC)), "paper", secrets.ErrInvalid},
		"a bad name":        {with(byKey(t, keyC)), "a b", secrets.ErrInvalid},
		"a wrong key":       {with(byKey(t, keyB)), "x", secrets.ErrDenied},
		"nothing":           {nil, "x", secrets.ErrSealed},
	} {
		if err := w.AddSeal(ctx, console, test.openings, test.name, byKey(t, keyA)); !errors.Is(err, test.class) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range 14 {
		ok(t, w.AddSeal(ctx, console, with(byKey(t, keyC)), "x"+strings.Repeat("y", i), byKey(t, keyA)))
	}
	wantError(t, w.AddSeal(ctx, console, with(byKey(t, keyC)), "one.more", byKey(t, keyA)), secrets.ErrInvalid)
	wantError(t, open(t).AddSeal(ctx, console, with(byKey(t, keyC)), "x", byKey(t, keyA)), secrets.ErrInvalid)
}

func TestRemoveSeal(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	put(t, w, "API_KEY", "one", "")
	wantError(t, w.RemoveSeal(ctx, console, with(byKey(t, keyC)), "nobody"), secrets.ErrNotFound)
	// Only a seal that stays proves that something stays.
	wantError(t, w.RemoveSeal(ctx, console, with(byKey(t, keyC)), "machine"), secrets.ErrSealed)
	wantError(t, w.RemoveSeal(ctx, console, with(byPassphrase(t, "wrong")), "machine"), secrets.ErrDenied)
	ok(t, w.RemoveSeal(ctx, console, with(byKey(t, keyC), byPassphrase(t, paper)), "machine"))
	wantError(t, w.RemoveSeal(ctx, console, with(byPassphrase(t, paper)), "paper"), secrets.ErrInvalid)

	w.restart(t)
	_, err := w.Unseal(ctx, root, with(byKey(t, keyC)))
	wantError(t, err, secrets.ErrSealed)
	w.unseal(t, byPassphrase(t, paper))
	wantValue(t, w, "API_KEY", "one")
}

func TestRewrapSeal(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	put(t, w, "API_KEY", "one", "")
	wantError(t, w.RewrapSeal(ctx, console, with(byKey(t, keyC)), "nobody", byKey(t, keyA)), secrets.ErrNotFound)
	wantError(t, w.RewrapSeal(ctx, console, with(byKey(t, keyC)), "paper", byKey(t, keyA)), secrets.ErrInvalid)
	wantError(t, w.RewrapSeal(ctx, console, with(byKey(t, keyA)), "machine", byKey(t, keyA)), secrets.ErrDenied)
	// The forgotten passphrase is replaced with the help of the other seal.
	ok(t, w.RewrapSeal(ctx, console, with(byKey(t, keyC)), "paper", byPassphrase(t, "another passphrase")))
	w.restart(t)
	_, err := w.Unseal(ctx, root, with(byPassphrase(t, paper)))
	wantError(t, err, secrets.ErrDenied)
	w.unseal(t, byPassphrase(t, "another passphrase"))
	wantValue(t, w, "API_KEY", "one")
}

func TestReplaceRoot(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	put(t, w, "API_KEY", "one", "")
	var before, after string
	database := w.raw(t)
	ok(t, database.QueryRow("select root_id from datasette_secrets_seals limit 1").Scan(&before))
	wantError(t, w.ReplaceRoot(ctx, console, with(byKey(t, keyC))), secrets.ErrSealed)
	wantError(t, w.ReplaceRoot(ctx, console, with(byKey(t, keyC), byPassphrase(t, "mistyped passphrase"))), secrets.ErrDenied)
	ok(t, w.ReplaceRoot(ctx, console, with(byKey(t, keyC), byPassphrase(t, paper))))
	ok(t, database.QueryRow("select distinct root_id from (select root_id from datasette_secrets_seals union all select root_id from datasette_secrets_keys)").Scan(&after))
	if before == after {
		t.Error("the root key is the same")
	}
	// The vault that is open goes on to read with what it has, stores nothing, and
	// can be unsealed again.
	wantError(t, w.RefreshKeys(ctx), secrets.ErrSealed)
	wantValue(t, w, "API_KEY", "one")
	_, err := w.Put(ctx, root, "API_KEY", secrets.NewValue("two"), "")
	wantError(t, err, secrets.ErrSealed)
	if !w.Sealed() {
		t.Error("nobody is told to unseal again")
	}
	w.unseal(t, byKey(t, keyC))
	ok(t, w.RefreshKeys(ctx))
	if w.Sealed() {
		t.Error("it stays sealed")
	}
	put(t, w, "API_KEY", "two", "")
	for _, means := range []seal.Means{byPassphrase(t, paper), byKey(t, keyC)} {
		w.restart(t)
		w.unseal(t, means)
		wantValue(t, w, "API_KEY", "two")
	}
}

func TestVerifySeals(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	checks, err := w.VerifySeals(ctx, console, with(byKey(t, keyC)))
	if err != nil || checks[0].Tried || !checks[1].Tried || checks[1].Err != nil || checks[1].Took <= 0 {
		t.Errorf("got %+v, %v", checks, err)
	}
	checks, err = w.VerifySeals(ctx, console, with(byKey(t, keyB), byPassphrase(t, paper)))
	if err != nil || checks[0].Err != nil || !errors.Is(checks[1].Err, secrets.ErrDenied) {
		t.Errorf("got %+v, %v", checks, err)
	}
	_, err = open(t).VerifySeals(ctx, console, nil)
	wantError(t, err, secrets.ErrInvalid)
}

// Whoever edits the tables of seals and keys gets an error, never another key.
func TestSealTablesEdited(t *testing.T) {
	t.Parallel()
	other := sealed(t)
	put(t, other, "API_KEY", "other", "")
	for name, statement := range map[string]string{
		"parameters":        `update datasette_secrets_seals set parameters = '{"a":1}'`,
		"root of seals":     `update datasette_secrets_seals set root_id = 'x'`,
		"root of keys":      `update datasette_secrets_keys set root_id = 'x'`,
		"number":            `update datasette_secrets_keys set number = 2`,
		"name of key":       `update datasette_secrets_keys set name = 'k2'`,
		"wrapped":           `update datasette_secrets_keys set wrapped = zeroblob(60)`,
		"wrapped as text":   `update datasette_secrets_keys set wrapped = 'x'`,
		"no key":            `delete from datasette_secrets_keys`,
		"key of another":    `attach '` + other.path + `' as o; update datasette_secrets_keys set wrapped = (select wrapped from o.datasette_secrets_keys), root_id = (select root_id from o.datasette_secrets_keys)`,
		"key of another, 2": `attach '` + other.path + `' as o; update datasette_secrets_keys set wrapped = (select wrapped from o.datasette_secrets_keys)`,
		"name of seal":      `update datasette_secrets_seals set name = name || 'x'`,
		"kind":              `update datasette_secrets_seals set kind = 'pkcs11'`,
		"mac":               `update datasette_secrets_seals set mac = zeroblob(32)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sealed(t)
			put(t, w, "API_KEY", "one", "")
			w.restart(t)
			if _, err := w.raw(t).Exec(statement); err != nil {
				t.Fatal(err)
			}
			_, err := w.Unseal(ctx, root, with(byKey(t, keyC)))
			if !errors.Is(err, secrets.ErrIntegrity) && !(name == "kind" && errors.Is(err, secrets.ErrSealed)) {
				t.Errorf("got %v", err)
			}
			if !w.Sealed() {
				t.Error("it is open")
			}
		})
	}
}

// Two processes that change seals at once: one of them is told to try again.
func TestSealsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	slow := &meanwhile{Means: byKey(t, keyA), do: func() {
		ok(t, w.AddSeal(ctx, console, with(byKey(t, keyC)), "first", byKey(t, keyB)))
	}}
	err := w.AddSeal(ctx, console, with(byKey(t, keyC)), "second", slow)
	wantError(t, err, secrets.ErrUnavailable)
	ok(t, w.AddSeal(ctx, console, with(byKey(t, keyC)), "second", byKey(t, keyA)))
}

// meanwhile is means during whose Wrap something else happens.
type meanwhile struct {
	seal.Means
	do func()
}

func (m *meanwhile) Wrap(ctx context.Context, root []byte) (string, []byte, error) {
	m.do()
	return m.Means.Wrap(ctx, root)
}

// A key that another process added to the sealed keyring is used without
// another unsealing.
func TestRefreshKeys(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	ok(t, w.RefreshKeys(ctx)) // nothing new
	first := w.Vault
	w.restart(t)
	w.Seal()
	w.unseal(t, byKey(t, keyC))
	put(t, w, "API_KEY", "one", "")
	ok(t, first.RefreshKeys(ctx))
	wantValue(t, &world{Vault: first}, "API_KEY", "one")
	ok(t, open(t).RefreshKeys(ctx))
}

func TestWipe(t *testing.T) {
	t.Parallel()
	w := sealed(t)
	put(t, w, "API_KEY", "one", "")
	w.Wipe()
	if _, err := w.Get(ctx, plugin("demo", ""), "API_KEY"); err == nil {
		t.Error("reads a value without keys")
	}
	unconfigured := open(t, func(c *vault.Config) { c.Keys = nil })
	unconfigured.Wipe()
}
