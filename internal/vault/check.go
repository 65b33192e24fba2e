package vault

import (
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// CheckDeclarations tells whether a host would take what a plugin declares. The
// error is an ErrInvalid that says which rule is broken.
func CheckDeclarations(ds []secrets.Declaration) error {
	if len(ds) > MaxDeclarations {
		return fmt.Errorf("%w: %d secrets are declared, at most %d are allowed", secrets.ErrInvalid, len(ds), MaxDeclarations)
	}
	_, err := checkDeclarations(ds)
	return err
}
