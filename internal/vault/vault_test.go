package vault_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	keyA = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
	keyB = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
)

var ctx = context.Background()

// Who asks, in these tests. The policy lets root and alice manage secrets, and
// root manage plugins.
var (
	root      = secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}
	alice     = secrets.Caller{Actor: secrets.NewActor("alice"), Proof: secrets.ProofSignedIn}
	mallory   = secrets.Caller{Actor: secrets.NewActor("mallory"), Proof: secrets.ProofSignedIn}
	anonymous = secrets.Caller{}
)

func plugin(name, actor string) secrets.Caller {
	return secrets.Caller{Plugin: name, Actor: secrets.NewActor(actor), Proof: secrets.ProofAsserted}
}

// world is a vault and what can be changed about it between two calls.
type world struct {
	*vault.Vault
	path string
	env  map[string]string
	time time.Time

	handle *vault.Config // for other permissions on the same file
}

type option func(*vault.Config)

func open(t *testing.T, options ...option) *world {
	t.Helper()
	w := &world{
		path: filepath.Join(t.TempDir(), "internal.db"),
		env:  map[string]string{},
		time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	w.reopen(t, options...)
	return w
}

// reopen opens the same file again, as a restart does.
func (w *world) reopen(t *testing.T, options ...option) {
	t.Helper()
	w.Vault = w.second(t, options...)
	declare(t, w, "demo", "API_KEY", "PASSWORD")
}

// second is a vault over the same file, as in another process.
func (w *world) second(t *testing.T, options ...option) *vault.Vault {
	t.Helper()
	now := func() time.Time { return w.time }
	d, _, err := db.Open(ctx, w.path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	policy, err := access.New(access.Config{Permissions: map[string]any{
		"manage-secrets": map[string]any{"id": []any{"root", "alice"}},
		"manage-plugins": map[string]any{"id": "root"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := vault.Config{
		DB: d, Keys: keys(t, keyA), Policy: policy, Now: now,
		Environment: source.Environment{Lookup: func(name string) (string, bool) {
			value, ok := w.env[name]
			return value, ok
		}},
	}
	for _, o := range options {
		o(&cfg)
	}
	return vault.New(cfg)
}

func keys(t *testing.T, value any) *keyring.Keyring {
	t.Helper()
	ring, err := keyring.Parse(value)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func declare(t *testing.T, w *world, plugin string, names ...string) {
	t.Helper()
	var ds []secrets.Declaration
	for _, name := range names {
		ds = append(ds, secrets.Declaration{Name: name, Description: name + " of " + plugin})
	}
	if err := introduce(w, plugin, ds); err != nil {
		t.Fatal(err)
	}
}

func introduce(w *world, plugin string, ds []secrets.Declaration) error {
	return w.Introduce(ctx, vault.Introduction{Plugin: plugin, Declarations: ds})
}

func put(t *testing.T, w *world, name, text, note string) int64 {
	t.Helper()
	version, err := w.Put(ctx, root, name, secrets.NewValue(text), note)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func wantValue(t *testing.T, w *world, name, want string) {
	t.Helper()
	found, err := w.Get(ctx, plugin("demo", "bob"), name)
	if err != nil || found.Value.Reveal() != want {
		t.Errorf("Get(%s) = %q, %v; want %q", name, found.Value.Reveal(), err, want)
	}
}

func wantError(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("got the error %v, want %v", err, class)
	}
}

func show(t *testing.T, w *world, name string) (vault.Secret, []vault.Version) {
	t.Helper()
	secret, versions, err := w.Show(ctx, root, name)
	if err != nil {
		t.Fatal(err)
	}
	return secret, versions
}

func TestPutThenGet(t *testing.T) {
	t.Parallel()
	w := open(t)
	if v := put(t, w, "API_KEY", "one", "first"); v != 1 {
		t.Errorf("version %d, want 1", v)
	}
	w.time = w.time.Add(time.Hour)
	if v := put(t, w, "API_KEY", "two", ""); v != 2 {
		t.Errorf("version %d, want 2", v)
	}
	wantValue(t, w, "API_KEY", "two")
	secret, versions := show(t, w, "API_KEY")
	if secret.State != vault.StateSet || secret.LastUsedAt != "2026-01-02 04:04:05" || secret.LastUsedBy != "bob" || secret.Note != "" {
		t.Errorf("got %+v", secret)
	}
	if len(versions) != 2 || !versions[0].Current || versions[1].Current || versions[1].Note != "first" || versions[1].LastUsedAt != "" {
		t.Errorf("got %+v", versions)
	}
	w.reopen(t)
	wantValue(t, w, "API_KEY", "two")
}

func TestGetSaysWhyNot(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	get := func(caller secrets.Caller, name string) error {
		_, err := w.Get(ctx, caller, name)
		return err
	}
	wantError(t, get(plugin("demo", ""), "PASSWORD"), secrets.ErrNotSet)
	wantError(t, get(root, "API_KEY"), secrets.ErrDenied) // a page never reads a value
	wantError(t, get(anonymous, "API_KEY"), secrets.ErrDenied)

	// Another plugin learns nothing about what exists.
	stored, missing := get(plugin("other", "root"), "API_KEY"), get(plugin("other", "root"), "NOTHING")
	wantError(t, stored, secrets.ErrNotDeclared)
	if stored.Error() != missing.Error() {
		t.Errorf("the answers differ: %v, %v", stored, missing)
	}

	w.reopen(t, func(c *vault.Config) { c.Keys = keys(t, keyB) })
	wantError(t, get(plugin("demo", ""), "API_KEY"), secrets.ErrIntegrity)
	w.reopen(t, func(c *vault.Config) { c.Keys = nil })
	wantError(t, get(plugin("demo", ""), "API_KEY"), secrets.ErrNotConfigured)
}

func TestEnvironmentGoesFirst(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "stored", "")
	w.env["DATASETTE_SECRETS_API_KEY"] = "  from env\n"
	found, err := w.Get(ctx, plugin("demo", "bob"), "API_KEY")
	if err != nil || found.Value.Reveal() != "  from env\n" || found.Source != vault.SourceEnvironment || found.Version != 0 {
		t.Errorf("got %q from %s, version %d, %v", found.Value.Reveal(), found.Source, found.Version, err)
	}
	secret, _ := show(t, w, "API_KEY")
	if secret.State != vault.StateEnvironment || secret.LastUsedAt != "" {
		t.Errorf("got %+v", secret)
	}
	w.env["DATASETTE_SECRETS_API_KEY"] = "" // set to nothing is not set
	wantValue(t, w, "API_KEY", "stored")

	w.reopen(t, func(c *vault.Config) { c.Keys = nil })
	w.env["DATASETTE_SECRETS_API_KEY"] = "still"
	wantValue(t, w, "API_KEY", "still")
	if _, err := w.Get(ctx, plugin("other", ""), "API_KEY"); !errors.Is(err, secrets.ErrNotDeclared) {
		t.Errorf("an undeclared name from the environment: %v", err)
	}
}

func TestDeleteAndRestore(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "first")
	put(t, w, "API_KEY", "two", "second")
	if err := w.Delete(ctx, alice, "API_KEY"); err != nil {
		t.Fatal(err)
	}
	_, err := w.Get(ctx, plugin("demo", ""), "API_KEY")
	wantError(t, err, secrets.ErrNotSet)
	secret, versions := show(t, w, "API_KEY")
	if secret.State != vault.StateUnset || !secret.Deleted || secret.DeletedBy != "alice" || secret.Version != 3 || !versions[0].Deleted {
		t.Errorf("got %+v", secret)
	}
	wantError(t, w.Delete(ctx, root, "API_KEY"), secrets.ErrNotSet) // twice
	if _, err := w.Annotate(ctx, root, "API_KEY", "note"); !errors.Is(err, secrets.ErrNotSet) {
		t.Errorf("annotating a tombstone: %v", err)
	}
	restore := func(version int64) error {
		_, err := w.Restore(ctx, root, "API_KEY", version)
		return err
	}
	wantError(t, restore(3), secrets.ErrInvalid) // the tombstone
	wantError(t, restore(9), secrets.ErrNotFound)
	if err := restore(1); err != nil {
		t.Fatal(err)
	}
	wantValue(t, w, "API_KEY", "one")
	if secret, _ := show(t, w, "API_KEY"); secret.Version != 4 || secret.Note != "first" || secret.Deleted {
		t.Errorf("got %+v", secret)
	}
	wantError(t, restore(4), secrets.ErrInvalid) // the current one
}

func TestAnnotate(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "first")
	for _, test := range []struct {
		note    string
		changed bool
	}{{"second", true}, {"second", false}, {"", true}} {
		changed, err := w.Annotate(ctx, alice, "API_KEY", test.note)
		if err != nil || changed != test.changed {
			t.Errorf("%q: changed %t, %v", test.note, changed, err)
		}
	}
	if secret, versions := show(t, w, "API_KEY"); len(versions) != 1 || secret.UpdatedBy != "alice" || secret.CreatedBy != "root" {
		t.Errorf("got %+v", secret)
	}
	wantValue(t, w, "API_KEY", "one")
}

// Every act of an administrator is refused to everybody else, and nothing of a
// refused or failed act is kept.
func TestActsAreRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	put(t, w, "API_KEY", "two", "")
	acts := map[string]func(secrets.Caller) error{
		"list": func(c secrets.Caller) error { _, err := w.List(ctx, c); return err },
		"show": func(c secrets.Caller) error { _, _, err := w.Show(ctx, c, "API_KEY"); return err },
		"put": func(c secrets.Caller) error {
			_, err := w.Put(ctx, c, "API_KEY", secrets.NewValue("x"), "")
			return err
		},
		"annotate": func(c secrets.Caller) error { _, err := w.Annotate(ctx, c, "API_KEY", "x"); return err },
		"delete":   func(c secrets.Caller) error { return w.Delete(ctx, c, "API_KEY") },
		"restore":  func(c secrets.Caller) error { _, err := w.Restore(ctx, c, "API_KEY", 1); return err },
	}
	pluginAsRoot := plugin("demo", "root")
	for name, act := range acts {
		for _, caller := range []secrets.Caller{mallory, anonymous, pluginAsRoot} {
			if err := act(caller); !errors.Is(err, secrets.ErrDenied) {
				t.Errorf("%s by %v: %v", name, caller, err)
			}
		}
	}
	wantValue(t, w, "API_KEY", "two")
	if _, versions := show(t, w, "API_KEY"); len(versions) != 2 {
		t.Errorf("%d versions, want 2", len(versions))
	}
}

func TestAnonymousMayLookButNotChange(t *testing.T) {
	t.Parallel()
	everyone, err := access.New(access.Config{Permissions: map[string]any{"manage-secrets": true}})
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, func(c *vault.Config) { c.Policy = everyone })
	if _, err := w.List(ctx, anonymous); err != nil {
		t.Error(err)
	}
	_, err = w.Put(ctx, anonymous, "API_KEY", secrets.NewValue("x"), "")
	if !errors.Is(err, secrets.ErrDenied) || !strings.Contains(err.Error(), "you must be signed in to change a secret") {
		t.Errorf("got %v", err)
	}
	// Signed in without an id is enough; nobody is named then.
	nameless := secrets.Caller{Actor: secrets.Actor{"name": "x"}}
	if _, err := w.Put(ctx, nameless, "API_KEY", secrets.NewValue("x"), ""); err != nil {
		t.Error(err)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, test := range []struct {
		name, value, note string
		class             error
		want              string
	}{
		{"API_KEYS", "x", "", secrets.ErrNotFound, "did you mean API_KEY?"},
		{"SOMETHING_ELSE_ALTOGETHER", "x", "", secrets.ErrNotFound, "no plugin has declared"},
		{strings.Repeat("A", 1000), "x", "", secrets.ErrNotFound, "no plugin has declared"},
		{"API_KEY", "", "", secrets.ErrInvalid, "empty"},
		{"API_KEY", strings.Repeat("x", vault.MaxValue+1), "", secrets.ErrInvalid, "at most 1048576"},
		{"API_KEY", "\xff", "", secrets.ErrInvalid, "not UTF-8"},
		{"API_KEY", "x", strings.Repeat("é", 101), secrets.ErrInvalid, "101 characters"},
		{"API_KEY", "x", "\xff", secrets.ErrInvalid, "not UTF-8"},
	} {
		_, err := w.Put(ctx, root, test.name, secrets.NewValue(test.value), test.note)
		if !errors.Is(err, test.class) || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("Put(%.20s, %.20s): %v, want %v", test.name, test.value, err, test.want)
		}
	}
	if secret, versions := show(t, w, "API_KEY"); secret.Version != 0 || len(versions) != 0 {
		t.Errorf("something was stored: %+v", secret)
	}
	put(t, w, "API_KEY", strings.Repeat("x", vault.MaxValue), strings.Repeat("😀", vault.MaxNote))
}

func TestUndeclaredNames(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *vault.Config) { c.AllowUndeclared = true })
	put(t, w, "EXTRA", "one", "")
	_, err := w.Put(ctx, root, "not/a name", secrets.NewValue("x"), "")
	wantError(t, err, secrets.ErrInvalid)

	w.reopen(t)                   // now they are not allowed …
	put(t, w, "EXTRA", "two", "") // … but one that is there stays editable
	if _, err := w.Get(ctx, plugin("demo", ""), "EXTRA"); !errors.Is(err, secrets.ErrNotDeclared) {
		t.Errorf("got %v", err)
	}
}

func TestListMergesDeclaredAndStored(t *testing.T) {
	t.Parallel()
	w := open(t)
	declare(t, w, "another", "PASSWORD", "ZULU")
	put(t, w, "API_KEY", "one", "")
	w.env["DATASETTE_SECRETS_ZULU"] = "z"
	list, err := w.List(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range list {
		got = append(got, fmt.Sprintf("%s %s %v %q", s.Name, s.State, s.DeclaredBy, s.Declaration.Description))
	}
	want := []string{
		`API_KEY set [demo] "API_KEY of demo"`,
		`PASSWORD unset [another demo] "PASSWORD of demo"`, // the first plugin's counts
		`ZULU environment [another] "ZULU of another"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExampleOnlyWhileNothingIsDeclared(t *testing.T) {
	t.Parallel()
	w := open(t)
	if err := introduce(w, "demo", nil); err != nil {
		t.Fatal(err)
	}
	list, err := w.List(ctx, root)
	if err != nil || len(list) != 1 || list[0].Name != "EXAMPLE_SECRET" {
		t.Errorf("got %+v, %v", list, err)
	}
	declare(t, w, "demo", "API_KEY")
	list, err = w.List(ctx, root)
	if err != nil || len(list) != 1 || list[0].Name != "API_KEY" {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestDeclareRefusesAll(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, bad := range []secrets.Declaration{
		{Name: ""},
		{Name: "a/b"},
		{Name: ".."},
		{Name: strings.Repeat("A", 256)},
		{Name: "A", Description: strings.Repeat("x", 5000)},
		{Name: "A", Description: "\xff"},
		{Name: "A", ObtainURL: "javascript:alert(1)"},
		{Name: "A", ObtainURL: "https://" + strings.Repeat("x", 3000)},
		{Name: "A", ObtainLabel: strings.Repeat("x", 300)},
	} {
		err := introduce(w, "demo", []secrets.Declaration{{Name: "GOOD"}, bad})
		wantError(t, err, secrets.ErrInvalid)
	}
	wantError(t, introduce(w, "demo", make([]secrets.Declaration, vault.MaxDeclarations+1)), secrets.ErrInvalid)
	if ok, _ := w.CanAccess(ctx, plugin("demo", ""), "API_KEY"); !ok {
		t.Error("a refused declaration replaced the one before")
	}
	if ok, _ := w.CanAccess(ctx, plugin("demo", ""), "GOOD"); ok {
		t.Error("half of a refused declaration was taken")
	}
}

func TestQuestionsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	status, err := w.Status(ctx, plugin("demo", "bob"))
	want := []vault.Status{{Name: "API_KEY", Set: true, Source: vault.SourceDatabase}, {Name: "PASSWORD"}}
	if err != nil || fmt.Sprint(status) != fmt.Sprint(want) {
		t.Errorf("got %v, %v; want %v", status, err, want)
	}
	if ok, err := w.CanAccess(ctx, plugin("demo", "bob"), "API_KEY"); !ok || err != nil {
		t.Errorf("CanAccess: %t, %v", ok, err)
	}
	if ok, _ := w.CanAccess(ctx, plugin("other", "root"), "API_KEY"); ok {
		t.Error("another plugin can access")
	}
	if secret, _ := show(t, w, "API_KEY"); secret.LastUsedAt != "" {
		t.Errorf("used at %s", secret.LastUsedAt)
	}
}
