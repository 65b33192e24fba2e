package vault

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Try returns the value of a secret that a plugin is to try out, on behalf of
// an administrator who is signed in. The plugin must be approved for that, and
// must be one that may read the secret anyway. It counts as a use by the
// administrator, as [Vault.Get] does.
func (v *Vault) Try(ctx context.Context, caller secrets.Caller, plugin, name string) (Found, error) {
	if _, err := v.authorizeManage(caller, name); err != nil {
		return Found{}, err
	}
	if len(caller.Actor) == 0 {
		return Found{}, fmt.Errorf("%w: you must be signed in to test a secret", secrets.ErrDenied)
	}
	if !v.MayServe(plugin, HookValidator) {
		return Found{}, secrets.ErrNotApproved
	}
	caller.Plugin = plugin
	return v.Get(ctx, caller, name)
}
