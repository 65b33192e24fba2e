package vault

import (
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// The functions of this file decide before an act whether it may be done. Each
// returns the rule that decided, in words for the log, also when it allows.

// authorizeManage allows the acts of an administrator on one secret, or with
// the name "" on the pages as a whole.
func (v *Vault) authorizeManage(caller secrets.Caller, _ string) (reason string, err error) {
	if caller.Plugin != "" || caller.Client != "" {
		return refuse(secrets.ErrDenied, "plugins and clients do not manage secrets")
	}
	decision := v.policy.Decide(caller.Actor, access.ManageSecrets)
	if !decision.Allowed {
		return refuse(secrets.ErrDenied, decision.Reason)
	}
	return decision.Reason, nil
}

// authorizeChange allows the acts of an administrator that leave a name behind:
// they need somebody to name.
func (v *Vault) authorizeChange(caller secrets.Caller, name string) (reason string, err error) {
	reason, err = v.authorizeManage(caller, name)
	if err != nil {
		return reason, err
	}
	if len(caller.Actor) == 0 {
		return refuse(secrets.ErrDenied, "you must be signed in to change a secret")
	}
	if _, err := v.ring(); err != nil {
		return err.Error(), err
	}
	return reason, nil
}

// authorizeUse allows a plugin to use a secret that it declared and was
// granted, whether or not there is one.
func (v *Vault) authorizeUse(caller secrets.Caller, name string) (reason string, err error) {
	if caller.Client != "" {
		return v.authorizeClient(caller, name)
	}
	if caller.Plugin == "" || isClient(caller.Plugin) {
		return refuse(secrets.ErrDenied, "only plugins and clients read values")
	}
	if !v.declarations.Load().declaredBy(caller.Plugin, name) {
		return secrets.ErrNotDeclared.Error(), secrets.ErrNotDeclared
	}
	if !v.granted(caller.Plugin, Request{RequestSecret, name}) {
		return secrets.ErrNotApproved.Error(), secrets.ErrNotApproved
	}
	return "granted to this plugin", nil
}

// refuse returns a reason alone, and an error of a class that gives it.
func refuse(class error, reason string) (string, error) {
	return reason, fmt.Errorf("%w: %s", class, reason)
}
