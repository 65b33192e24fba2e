package vault

import (
	"context"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
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
	err := v.db.View(ctx, func(tx *db.Tx) error { return v.readNewest(tx, r) })
	if err == nil {
		err = r.err
	}
	if err != nil {
		return "", err
	}
	return redact.Hint(r.o.value), nil
}
