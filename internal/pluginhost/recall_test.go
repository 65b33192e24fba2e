package pluginhost_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// What a plugin declared is known at the next start of the host before the
// plugin runs, if its file is the one that declared it. It is known to people
// only: nothing reads a secret until a plugin runs.
func TestRecall(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 0))
	file := filepath.Join(t.TempDir(), "internal.db")
	w := startWith(t, pluginhost.Config{Dir: dir, Timings: quick(), Vault: newVaultAt(t, file)})
	w.isReady("healthy")
	before := w.status("healthy")
	w.close()

	kernel := thisKernel()
	kernel.Landlock = 0 // so that the plugin is refused
	declaredBy := func(w *world) []string {
		secret, _, err := w.vault.Show(t.Context(), rootCaller(), "HEALTHY_KEY")
		if err != nil && !errors.Is(err, secrets.ErrNotFound) {
			t.Error(err)
		}
		return secret.DeclaredBy
	}
	again := func() *world {
		door := newVaultAt(t, file)
		must(t, door.Refresh(t.Context()))
		return startWith(t, pluginhost.Config{Dir: dir, Timings: quick(), Vault: door, Kernel: &kernel})
	}
	w = again()
	w.failsWith("healthy", "this kernel lacks Landlock")
	status := w.status("healthy")
	if got := declaredBy(w); !slices.Equal(got, []string{"healthy"}) || !slices.Equal(status.Secrets, []string{"HEALTHY_KEY"}) ||
		status.Hash != before.Hash || status.Version != before.Version {
		t.Errorf("it is declared by %q, and the plugin is %+v", got, status)
	}
	w.close()

	replace(t, pluginFile(dir, "healthy"), behaving("healthy", 1))
	w = again()
	w.failsWith("healthy", "this kernel lacks Landlock")
	if got, status := declaredBy(w), w.status("healthy"); len(got) > 0 || len(status.Secrets) > 0 || status.Hash != "" {
		t.Errorf("of another program: it is declared by %q, and the plugin is %+v", got, status)
	}
}
