package vault_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Callers at once share transactions and decryptions, and each gets what it
// asked for: its value, or its own error. A value that was set before a read
// began is what it reads.
func TestReadersAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t)
	declare(t, w, "crowd", "A", "B", "UNSET")
	put(t, w, "B", "fixed", "")
	const rounds, callers = 8, 24
	for round := range rounds {
		put(t, w, "A", fmt.Sprint("a", round), "")
		want := map[string]string{"A": fmt.Sprint("a", round), "B": "fixed"}
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				name := []string{"A", "B", "UNSET"}[c%3]
				found, err := w.Get(ctx, plugin("crowd", fmt.Sprint("user", c)), name)
				if name == "UNSET" {
					if !errors.Is(err, secrets.ErrNotSet) {
						t.Errorf("%s: %v", name, err)
					}
					return
				}
				if err != nil || found.Value.Reveal() != want[name] {
					t.Errorf("%s: %q, %v; want %q", name, found.Value.Reveal(), err, want[name])
				}
			})
		}
		all.Wait()
	}
	if n := w.counted(t, "select count(*) from datasette_secrets_log where action = 'get'"); n != rounds*callers {
		t.Errorf("%d uses are recorded, want %d", n, rounds*callers)
	}
	if check := w.verified(t); len(check.Bad) > 0 {
		t.Errorf("%+v", check)
	}
}

// Relaxed or not, a use that was answered is in the log for every other process
// at once.
func TestRelaxedUsesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *vault.Config) { c.Relaxed = true })
	put(t, w, "API_KEY", "one", "")
	for i := range 50 {
		if _, err := w.Get(ctx, plugin("demo", "carol"), "API_KEY"); err != nil {
			t.Fatal(err)
		}
		if n := w.counted(t, "select count(*) from datasette_secrets_log where action = 'get'"); n != i+1 {
			t.Fatalf("%d uses are recorded, want %d", n, i+1)
		}
	}
}
