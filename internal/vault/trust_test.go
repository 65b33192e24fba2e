package vault_test

import (
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// trusting is the option of somebody who writes a plugin.
func trusting(cfg *vault.Config) { cfg.TrustPlugins = true }

// For the author of a plugin, what waits for a decision counts as approved. It
// goes no further than that: what was refused or never asked for does not, and
// nothing of it stays when the host is an ordinary one again.
func TestTrustedPlugins(t *testing.T) {
	t.Parallel()
	w := open(t, trusting)
	w.shows(t, "weather", "h1", "OWN", "REFUSED", "/authenticator")
	w.shows(t, "weather", "h2", "OWN", "REFUSED", "LATER", "API_KEY", "/authenticator", "/menu")
	if _, err := w.Refuse(ctx, root, "weather", secret("REFUSED"), hook(vault.HookMenu)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"OWN", "LATER", "API_KEY"} { // the last is another plugin's
		w.may(t, "weather", name, nil)
	}
	w.may(t, "weather", "REFUSED", secrets.ErrNotApproved)
	w.may(t, "weather", "PASSWORD", secrets.ErrNotDeclared)
	if !w.MayServe("weather", vault.HookAuthenticator) || w.MayServe("weather", vault.HookMenu) || w.MayServe("weather", vault.HookActors) || w.MayServe("nobody", vault.HookMenu) {
		t.Error("hooks: the pending one counts, the refused one and those not asked for do not")
	}
	if err := w.DisablePlugin(ctx, root, "weather"); err != nil {
		t.Fatal(err)
	}
	w.may(t, "weather", "LATER", secrets.ErrNotApproved)
	if w.MayServe("weather", vault.HookAuthenticator) {
		t.Error("a disabled plugin serves")
	}
	if err := w.EnablePlugin(ctx, root, "weather"); err != nil {
		t.Fatal(err)
	}

	w.reopen(t)
	w.shows(t, "weather", "h2", "OWN", "REFUSED", "LATER", "API_KEY", "/authenticator", "/menu")
	w.may(t, "weather", "OWN", nil)
	for _, name := range []string{"LATER", "API_KEY", "REFUSED"} {
		w.may(t, "weather", name, secrets.ErrNotApproved)
	}
	if w.MayServe("weather", vault.HookAuthenticator) {
		t.Error("what was trusted in development is granted for good")
	}
}
