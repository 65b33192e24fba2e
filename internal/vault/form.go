package vault

import (
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// checkForm refuses a value that is not what the secret's declaration expects.
// The error holds nothing of the value.
func (v *Vault) checkForm(name string, value secrets.Value) error {
	d := v.declarations.Load().byName[name]
	switch {
	case d.Fits(value):
		return nil
	case value.Len() > secrets.MaxPatternValue:
		return fmt.Errorf("%w: the secret has %d bytes, at most %d are allowed of one that has to match a pattern", secrets.ErrInvalid, value.Len(), secrets.MaxPatternValue)
	case d.Example == "":
		return fmt.Errorf("%w: the secret does not have the form that %s needs; nothing was stored", secrets.ErrInvalid, name)
	}
	return fmt.Errorf("%w: the secret does not have the form that %s needs, such as %s; nothing was stored", secrets.ErrInvalid, name, d.Example)
}
