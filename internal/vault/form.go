package vault

import (
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// ErrForm: a value is not what the secret's declaration expects. It is also
// ErrInvalid.
var ErrForm = fmt.Errorf("%w: the secret does not have the form that it needs", secrets.ErrInvalid)

// checkForm refuses a value that is not what the secret's declaration expects,
// with ErrForm. The error holds nothing of the value.
func (v *Vault) checkForm(name string, value secrets.Value) error {
	d := v.declarations.Load().byName[name]
	switch {
	case d.Fits(value):
		return nil
	case value.Len() > secrets.MaxPatternValue:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed of one that has to match a pattern", ErrForm, value.Len(), secrets.MaxPatternValue)
	case d.Example == "":
		return fmt.Errorf("%w; nothing was stored", ErrForm)
	}
	return fmt.Errorf("%w, such as %s; nothing was stored", ErrForm, d.Example)
}
