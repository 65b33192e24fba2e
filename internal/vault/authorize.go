package vault

import (
	"errors"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// The functions of this file decide before an act whether it may be done. Each
// returns the rule that decided, in words for the log, also when it allows.
//
// What is considered is a list of findings, one for each rule. A decision and
// its explanation are both made of that list, so that they agree.

// authorizeManage allows the acts of an administrator on one secret, or with
// the name "" on the pages as a whole.
func (v *Vault) authorizeManage(caller secrets.Caller, name string) (reason string, err error) {
	return authorized(access.ManageSecrets, v.considerManage(caller, name))
}

func (v *Vault) considerManage(caller secrets.Caller, name string) []access.Finding {
	if against := asAdministrator(caller); against != nil {
		return against
	}
	if name == "" {
		return v.policy.Consider(caller.Actor, access.ManageSecrets)
	}
	return v.policy.ConsiderManage(caller.Actor, name)
}

// authorizeList allows a look at the list of secrets to those who manage some,
// and tells which of them they may see.
func (v *Vault) authorizeList(caller secrets.Caller) (may func(name string) bool, err error) {
	if against := asAdministrator(caller); against != nil {
		_, err := authorized(access.ManageSecrets, against)
		return nil, err
	}
	if d := v.policy.ManagesAny(caller.Actor); !d.Allowed {
		_, err := refuse(secrets.ErrDenied, d.Reason)
		return nil, err
	}
	return v.policy.Manages(caller.Actor), nil
}

// MayManage reports whether a caller may see and change a secret.
func (v *Vault) MayManage(caller secrets.Caller, name string) bool {
	return access.Conclude(access.ManageSecrets, v.considerManage(caller, name)).Allowed
}

// MayManageSome reports whether a caller may manage secrets, all or some, so
// that there is something for them in the list.
func (v *Vault) MayManageSome(caller secrets.Caller) bool {
	return asAdministrator(caller) == nil && v.policy.ManagesAny(caller.Actor).Allowed
}

// asAdministrator is what speaks against a caller as an administrator, whoever
// the actor is.
func asAdministrator(caller secrets.Caller) []access.Finding {
	switch {
	case caller.Plugin != "" || caller.Client != "":
		return []access.Finding{{Verdict: access.Denies, Rule: "plugins and clients do not manage secrets"}}
	case caller.Proof == secrets.ProofAsserted:
		return []access.Finding{{Verdict: access.Denies, Rule: "somebody's word for who manages secrets is not enough"}}
	}
	return nil
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

// authorizeUse allows a program to use a secret that is for it, on behalf of
// its caller's actor, whether or not there is one.
func (v *Vault) authorizeUse(caller secrets.Caller, name string) (reason string, err error) {
	var space [4]access.Finding // spares an allocation
	all := v.considerUse(space[:0], caller, name)
	if d := access.Conclude(access.DatasetteSecret, all); d.Allowed && d.Place == "" {
		return grantOf(caller), nil // which says more than that no rule forbids it
	}
	return authorized(access.DatasetteSecret, all)
}

// grantOf is the rule by which a program has what it was granted.
func grantOf(caller secrets.Caller) string {
	if caller.Client != "" {
		return "granted to this client"
	}
	return "granted to this plugin"
}

// considerUse adds to all what speaks for and against the caller's use of a
// secret.
func (v *Vault) considerUse(all []access.Finding, caller secrets.Caller, name string) []access.Finding {
	return v.policy.ConsiderUse(v.considerProgram(all, caller, name), caller, name)
}

// MayHave reports whether a program may use a secret at all, whoever is its
// caller's actor: that is enough to be told whether the secret is set. It leaves
// no trace.
func (v *Vault) MayHave(caller secrets.Caller, name string) bool {
	return access.Refused(v.considerProgram(nil, caller, name)) == nil
}

// leftOut reports whether a secret's lists leave a plugin or client out.
func (v *Vault) leftOut(holder, secret string) bool {
	return access.Refused(v.policy.ConsiderProgram(nil, callerOf(holder), secret)) != nil
}

// considerProgram adds to all what speaks for and against the caller's plugin or
// client: that it declared the secret, that the secret's lists do not leave it
// out, and that an administrator approved it.
func (v *Vault) considerProgram(all []access.Finding, caller secrets.Caller, name string) []access.Finding {
	if caller.Client != "" {
		return v.policy.ConsiderProgram(append(all, v.considerClient(caller, name)), caller, name)
	}
	if caller.Plugin == "" || isClient(caller.Plugin) {
		return append(all, access.Finding{Verdict: access.Denies, Rule: "only plugins and clients read values"})
	}
	if v.declarations.Load().declaredBy(caller.Plugin, name) {
		all = append(all, access.Finding{Verdict: access.Passes, Rule: "this plugin declared the secret"})
	} else {
		all = append(all, access.Finding{
			Verdict: access.Denies, Class: secrets.ErrNotDeclared, Rule: "this plugin has not declared the secret",
			Place: "the plugin " + caller.Plugin, Turn: "if it declared the secret",
		})
	}
	all = v.policy.ConsiderProgram(all, caller, name)
	if v.granted(caller.Plugin, Request{RequestSecret, name}) {
		return append(all, access.Finding{Verdict: access.Passes, Rule: grantOf(caller)})
	}
	return append(all, access.Finding{
		Verdict: access.Denies, Class: secrets.ErrNotApproved, Rule: "an administrator has not approved that this plugin reads the secret",
		Place: "datasette-secrets plugin approve " + caller.Plugin + " --secret " + name, Turn: "if an administrator ran it",
	})
}

// considerClient is what speaks for or against a client, whoever its caller's
// actor is.
func (v *Vault) considerClient(caller secrets.Caller, name string) access.Finding {
	reason, err := v.authorizeClient(caller, name)
	if err == nil {
		return access.Finding{Verdict: access.Passes, Rule: reason}
	}
	f := access.Finding{Verdict: access.Denies, Rule: reason, Place: "the client " + caller.Client, Turn: "if there were one with a token that counts"}
	switch {
	case errors.Is(err, secrets.ErrNotDeclared):
		f.Class, f.Rule, f.Turn = secrets.ErrNotDeclared, "this client was not granted the secret, nor asked for it", "if it were granted the secret"
	case errors.Is(err, secrets.ErrNotApproved):
		f.Class, f.Rule, f.Turn = secrets.ErrNotApproved, "an administrator has not approved that this client reads the secret", "if it were granted the secret"
	}
	return f
}

// authorized makes a decision of findings.
func authorized(action string, all []access.Finding) (reason string, err error) {
	d := access.Conclude(action, all)
	if d.Allowed {
		return d.Reason, nil
	}
	if f := access.Refused(all); f != nil && f.Class != nil {
		return d.Reason, f.Class
	}
	return refuse(secrets.ErrDenied, d.Reason)
}

// refuse returns a reason alone, and an error of a class that gives it.
func refuse(class error, reason string) (string, error) {
	return reason, fmt.Errorf("%w: %s", class, reason)
}
