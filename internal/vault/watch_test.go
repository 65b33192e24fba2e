package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// patience is how long a test waits for something that is to happen soon. It
// only matters when the test fails.
const patience = 30 * time.Second

func watch(t *testing.T, w *world, plugin string, cursor string, names ...string) *vault.Watcher {
	t.Helper()
	watcher, err := w.Watch(ctx, secrets.Caller{Plugin: plugin}, names, cursor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Close)
	return watcher
}

func next(t *testing.T, watcher *vault.Watcher) vault.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	change, err := watcher.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// tells checks the next changes, written as kind, name and version.
func tells(t *testing.T, watcher *vault.Watcher, want ...string) (last vault.Change) {
	t.Helper()
	for _, want := range want {
		last = next(t, watcher)
		if got := strings.TrimSpace(fmt.Sprintf("%s %s %d", last.Kind, last.Name, last.Version)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	return last
}

// isQuiet checks that a watcher has nothing to tell: a change that was made
// before the question would come before the one of SENTINEL.
func isQuiet(t *testing.T, w *world, watcher *vault.Watcher) {
	t.Helper()
	version := put(t, w, "PASSWORD", "sentinel", "")
	tells(t, watcher, fmt.Sprintf("updated PASSWORD %d", version))
}

func TestWatchTellsOfActs(t *testing.T) {
	t.Parallel()
	w := open(t)
	watcher := watch(t, w, "demo", "")
	tells(t, watcher, "opened  0")
	put(t, w, "API_KEY", "one", "")
	tells(t, watcher, "updated API_KEY 1")
	put(t, w, "API_KEY", "two", "")
	tells(t, watcher, "updated API_KEY 2")
	if err := w.Delete(ctx, root, "API_KEY"); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "revoked API_KEY 3")
	if _, err := w.Restore(ctx, root, "API_KEY", 1); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "updated API_KEY 4")

	// What changes no value is no change.
	if _, err := w.Annotate(ctx, root, "API_KEY", "a note"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Get(ctx, plugin("demo", "bob"), "API_KEY"); err != nil {
		t.Fatal(err)
	}
	isQuiet(t, w, watcher)
}

func TestWatchTellsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	watcher := watch(t, w, "demo", "")
	tells(t, watcher, "opened  0")
	execute(t, w, "insert into datasette_secrets (name, version, encrypted, encryption_key_name) values ('API_KEY', 2, 'x', 'default')")
	tells(t, watcher, "updated API_KEY 2")
	execute(t, w, "insert into datasette_secrets (name, version, encrypted, encryption_key_name, deleted_at) values ('API_KEY', 3, 'x', 'default', 'now')")
	tells(t, watcher, "revoked API_KEY 3")
	execute(t, w, "delete from datasette_secrets where version > 1")
	tells(t, watcher, "updated API_KEY 1")
	execute(t, w, "delete from datasette_secrets")
	tells(t, watcher, "revoked API_KEY 0")
}

func TestWatchTellsOfDecisions(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	put(t, w, "PASSWORD", "one", "")
	watcher := watch(t, w, "demo", "")
	tells(t, watcher, "opened  0")
	caller := secrets.Caller{Actor: root.Actor, Proof: secrets.ProofLocal}
	request := vault.Request{Kind: vault.RequestSecret, Name: "API_KEY"}
	if _, err := w.Refuse(ctx, caller, "demo", request); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "revoked API_KEY 0")
	put(t, w, "API_KEY", "two", "") // not for this plugin
	isQuiet(t, w, watcher)
	if _, err := w.Approve(ctx, caller, "demo", request); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "updated API_KEY 2")
	if err := w.DisablePlugin(ctx, caller, "demo"); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "revoked API_KEY 0", "revoked PASSWORD 0")
	if err := w.EnablePlugin(ctx, caller, "demo"); err != nil {
		t.Fatal(err)
	}
	tells(t, watcher, "updated API_KEY 2", "updated PASSWORD 2")
	declare(t, w, "demo", "PASSWORD")
	tells(t, watcher, "revoked API_KEY 0")
}

func TestWatchTellsOfSealedKeys(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	w.env["DATASETTE_SECRETS_PASSWORD"] = "outside"
	watcher := watch(t, w, "demo", "")
	tells(t, watcher, "opened  0")
	w.Seal()
	tells(t, watcher, "revoked API_KEY 1")
	w.UseKeys(keys(t, keyA))
	tells(t, watcher, "updated API_KEY 1")
}

// While a variable overrides the database, what is stored there changes
// nothing.
func TestWatchKnowsTheEnvironment(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.env["DATASETTE_SECRETS_API_KEY"] = "outside"
	watcher := watch(t, w, "demo", "")
	tells(t, watcher, "opened  0")
	put(t, w, "API_KEY", "one", "")
	if err := w.Delete(ctx, root, "API_KEY"); err != nil {
		t.Fatal(err)
	}
	isQuiet(t, w, watcher)
}

func TestWatchOfNames(t *testing.T) {
	t.Parallel()
	w := open(t)
	watcher := watch(t, w, "demo", "", "PASSWORD", "PASSWORD")
	tells(t, watcher, "opened  0")
	put(t, w, "API_KEY", "one", "")
	isQuiet(t, w, watcher)
}

// A plugin learns nothing about what others declared, neither by a watch of
// all nor by asking, and not even how much there is.
func TestWatchKeepsPluginsApart(t *testing.T) {
	t.Parallel()
	w := open(t)
	declare(t, w, "other", "OTHER_KEY")
	watcher := watch(t, w, "other", "")
	opened := next(t, watcher)
	for i := range 50 {
		put(t, w, "API_KEY", fmt.Sprint(i), "")
	}
	put(t, w, "OTHER_KEY", "mine", "")
	mine := tells(t, watcher, "updated OTHER_KEY 1")
	if number(t, mine)-number(t, opened) != 1 {
		t.Errorf("the cursor went from %s to %s", opened.Cursor, mine.Cursor)
	}
	for _, name := range []string{"API_KEY", "NOTHING"} {
		_, err := w.Watch(ctx, plugin("other", ""), []string{"OTHER_KEY", name}, "")
		wantError(t, err, secrets.ErrNotDeclared)
	}
	for _, caller := range []secrets.Caller{root, anonymous} {
		_, err := w.Watch(ctx, caller, nil, "")
		wantError(t, err, secrets.ErrDenied)
	}
}

func number(t *testing.T, change vault.Change) (n int) {
	t.Helper()
	_, text, _ := strings.Cut(change.Cursor, ".")
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	w := open(t)
	first := watch(t, w, "demo", "")
	cursor := next(t, first).Cursor
	put(t, w, "API_KEY", "one", "")
	tells(t, first, "updated API_KEY 1")
	put(t, w, "PASSWORD", "one", "")
	tells(t, first, "updated PASSWORD 1")
	first.Close()
	first.Close()

	// Nobody watches: another process and this one change something.
	execute(t, w, "insert into datasette_secrets (name, version, encrypted, encryption_key_name) values ('API_KEY', 2, 'x', 'default')")
	put(t, w, "PASSWORD", "two", "")

	second := watch(t, w, "demo", cursor)
	opened := tells(t, second, "opened  0")
	if opened.Cursor != cursor {
		t.Errorf("it goes on at %s, not at %s", opened.Cursor, cursor)
	}
	tells(t, second, "updated API_KEY 1", "updated PASSWORD 1", "updated API_KEY 2")
	last := tells(t, second, "updated PASSWORD 2")

	third := watch(t, w, "demo", last.Cursor)
	tells(t, third, "opened  0")
	isQuiet(t, w, third)
}

func TestWatchWithAnUnknownCursor(t *testing.T) {
	t.Parallel()
	w := open(t)
	here := next(t, watch(t, w, "demo", "")).Cursor
	instance, _, _ := strings.Cut(here, ".")
	old := open(t)
	elsewhere := next(t, watch(t, old, "demo", "")).Cursor
	for _, cursor := range []string{elsewhere, "x", ".", instance, instance + ".", instance + ".99", instance + ".-1", instance + ".+0", instance + ".00", here + " ", strings.Repeat("x", 64)} {
		watcher := watch(t, w, "demo", cursor)
		if opened := tells(t, watcher, "opened  0"); opened.Cursor != cursor {
			t.Errorf("%q: opened at %q", cursor, opened.Cursor)
		}
		resync := tells(t, watcher, "resync  0")
		if resync.Cursor != here {
			t.Errorf("%q: resync at %q, want %q", cursor, resync.Cursor, here)
		}
		watcher.Close()
	}
	_, err := w.Watch(ctx, plugin("demo", ""), nil, strings.Repeat("x", 65))
	wantError(t, err, secrets.ErrInvalid)
	_, err = w.Watch(ctx, plugin("demo", ""), make([]string, vault.MaxDeclarations+1), "")
	wantError(t, err, secrets.ErrInvalid)
}

func TestWatchersAreBounded(t *testing.T) {
	t.Parallel()
	w := open(t)
	declare(t, w, "other", "OTHER_KEY")
	var all []*vault.Watcher
	for range 16 {
		all = append(all, watch(t, w, "demo", ""))
	}
	if _, err := w.Watch(ctx, plugin("demo", ""), nil, ""); !errors.Is(err, vault.ErrTooManyWatchers) {
		t.Errorf("the 17th: %v", err)
	}
	watch(t, w, "other", "") // has places of its own
	all[3].Close()
	watch(t, w, "demo", "")
}

// bump gives every secret of a plugin a new version, as one transaction of
// another process, and wakes the vault by an act of its own.
func bump(t *testing.T, w *world) {
	t.Helper()
	execute(t, w, `insert into datasette_secrets (name, version, encrypted, encryption_key_name)
		select name, max(version) + 1, 'x', 'default' from datasette_secrets where name like 'MANY_%' group by name`)
	w.UseKeys(keys(t, keyA))
}

// A watcher that does not keep up is cut off; its neighbour misses nothing,
// and what the vault keeps stays bounded.
func TestSlowWatchersAreCut(t *testing.T) {
	t.Parallel()
	w := open(t)
	var names []string
	for i := range vault.MaxDeclarations {
		names = append(names, fmt.Sprintf("MANY_%03d", i))
	}
	declare(t, w, "many", names...)
	execute(t, w, `insert into datasette_secrets (name, version, encrypted, encryption_key_name)
		with recursive n(i) as (select 0 union all select i + 1 from n where i < 999)
		select printf('MANY_%03d', i), 1, 'x', 'default' from n`)
	slow, quick := watch(t, w, "many", ""), watch(t, w, "many", "")
	cursor := next(t, quick).Cursor
	for round := range 6 {
		bump(t, w)
		for _, name := range names {
			tells(t, quick, fmt.Sprintf("updated %s %d", name, round+2))
		}
	}
	select {
	case <-slow.Cut():
	default:
		t.Error("the slow watcher is not cut off")
	}
	if change, err := slow.Next(ctx); !errors.Is(err, vault.ErrTooSlow) {
		t.Errorf("it got %+v, %v", change, err)
	}
	if n := w.Kept("many"); n < 2*vault.MaxDeclarations || n > 4*vault.MaxDeclarations {
		t.Errorf("%d changes are kept", n)
	}
	again := watch(t, w, "many", cursor)
	tells(t, again, "opened  0", "resync  0")
	bump(t, w)
	tells(t, again, "updated MANY_000 8")
	tells(t, quick, "updated MANY_000 8")
}

// Whoever breaks off and comes back again and again, while many write, in the
// end knows the newest version of everything, without a resync.
func TestWatchLosesNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	names := []string{"API_KEY", "PASSWORD"}
	const writers, each = 4, 25
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				if _, err := w.Put(ctx, root, names[(i+n)%2], secrets.NewValue(fmt.Sprint(i, n)), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	known := map[string]int64{}
	cursor := next(t, watch(t, w, "demo", "")).Cursor
	for watches := 0; known["API_KEY"] < writers*each/2 || known["PASSWORD"] < writers*each/2; watches++ {
		watcher := watch(t, w, "demo", cursor)
		for range 3 {
			change := next(t, watcher)
			if change.Kind == vault.ChangeResync {
				t.Fatal("a resync although nothing can be missed")
			}
			if change.Kind != vault.ChangeOpened && change.Version <= known[change.Name] {
				t.Errorf("after version %d of %s came %d", known[change.Name], change.Name, change.Version)
			}
			known[change.Name], cursor = change.Version, change.Cursor
			if known["API_KEY"] == writers*each/2 && known["PASSWORD"] == writers*each/2 {
				break
			}
		}
		watcher.Close()
	}
	writing.Wait()
	if slices.Max([]int64{known["API_KEY"], known["PASSWORD"]}) != writers*each/2 {
		t.Errorf("known are %v", known)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := open(t)
	watcher := watch(t, w, "demo", "")
	next(t, watcher)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := watcher.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzCursor(f *testing.F) {
	hub := vault.NewHub()
	f.Add(hub.Cursor(0))
	f.Add(hub.Cursor(123))
	f.Add("0123456789abcdef.7")
	f.Add(".")
	f.Fuzz(func(t *testing.T, cursor string) {
		if number, ok := hub.Parse(cursor); ok && hub.Cursor(number) != cursor {
			t.Errorf("%q is %d", cursor, number)
		}
	})
}
