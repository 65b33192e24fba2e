package vault

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// MaxImport is how many secrets one import takes.
const MaxImport = 10_000

// Imported is a secret from somewhere else.
type Imported struct {
	Name  string
	Note  string
	Value secrets.Value
}

// ImportOptions say what an import does.
type ImportOptions struct {
	Replace bool // give a secret that has another value here a new version; else that is a conflict
	DryRun  bool // only say what would be done
}

// ImportReport says by name what an import did.
type ImportReport struct {
	Added     []string // without a value here
	Replaced  []string
	Same      []string // which have that value already
	Conflicts []string // which have another one
}

// Import stores secrets from somewhere else, all of them or, with a conflict or
// any other failure, none. The names are taken as they are. It is for operators
// only, who may read the database anyway.
func (v *Vault) Import(ctx context.Context, caller secrets.Caller, all []Imported, options ImportOptions) (report ImportReport, err error) {
	if err := authorizeImport(caller); err != nil {
		return report, v.refused(ctx, caller, act{action: ActionPut}, err)
	}
	if len(all) > MaxImport {
		return report, fmt.Errorf("%w: %d secrets are more than one import takes, which is %d", secrets.ErrInvalid, len(all), MaxImport)
	}
	for _, one := range all {
		if err := one.check(); err != nil {
			return report, err
		}
	}
	err = v.store(ctx, func(tx *db.Tx, keys *keyring.Keyring) error {
		report = ImportReport{}
		for _, one := range all {
			if err := v.importOne(tx, keys, caller, one, options, &report); err != nil {
				return err
			}
		}
		switch {
		case len(report.Conflicts) > 0:
			return fmt.Errorf("%w: these have another value here: %s; nothing was stored", secrets.ErrInvalid, fmt.Sprintf("%q", report.Conflicts))
		case options.DryRun:
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return report, err
}

// errDryRun takes back what a dry run did.
var errDryRun = errors.New("dry run")

func authorizeImport(caller secrets.Caller) error {
	if caller.Plugin != "" || caller.Client != "" || caller.Proof != secrets.ProofLocal || len(caller.Actor) == 0 {
		return fmt.Errorf("%w: secrets are imported by commands on the machine of the host", secrets.ErrDenied)
	}
	return nil
}

func (i Imported) check() error {
	err := errors.Join(checkNote(i.Note), checkValue(i.Value))
	if err == nil && (i.Name == "" || len(i.Name) > 255 || !utf8.ValidString(i.Name)) {
		err = fmt.Errorf("%w: a name has 1 to 255 bytes of UTF-8", secrets.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("importing %q: %w", i.Name, err)
	}
	return nil
}

func (v *Vault) importOne(tx *db.Tx, keys *keyring.Keyring, caller secrets.Caller, one Imported, options ImportOptions, report *ImportReport) error {
	list := &report.Replaced
	current, err := v.newest(tx, keys, one.Name)
	switch {
	case errors.Is(err, secrets.ErrNotSet):
		list = &report.Added
	case err == nil && current.value.Reveal() == one.Value.Reveal():
		report.Same = append(report.Same, one.Name)
		return nil
	case err != nil && !errors.Is(err, secrets.ErrIntegrity):
		return err
	case !options.Replace:
		report.Conflicts = append(report.Conflicts, one.Name)
		return nil
	}
	*list = append(*list, one.Name)
	row := db.Row{Name: one.Name, Note: one.Note, CreatedBy: caller.Actor.ID()}
	_, err = v.add(tx, keys, row, one.Value, caller, act{action: ActionPut, reason: "imported from a file of datasette-secrets"})
	return err
}
