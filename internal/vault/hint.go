package vault

import (
	"context"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Hint returns a few characters of the stored value of a secret, such as
// "sk-…wxyz", for administrators to recognise it by. It is empty unless the
// secret's declaration asks for it, and for a value that is so short that the
// characters would be more than a quarter of it. It is no use of the secret.
func (v *Vault) Hint(ctx context.Context, caller secrets.Caller, name string) (string, error) {
	if _, err := v.authorizeManage(caller, name); err != nil {
		return "", err
	}
	redact := v.declarations.Load().byName[name].Redact
	if redact == (secrets.Redact{}) {
		return "", nil
	}
	r := &reading{name: name}
	v.readSome(ctx, []*reading{r})
	if r.err != nil {
		return "", r.err
	}
	return redact.Hint(r.o.value), nil
}
