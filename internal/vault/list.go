package vault

import (
	"context"
	"fmt"
	"sort"

	"github.com/agnivade/levenshtein"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// State is whether a secret has a value, and whose.
type State string

// The states of a secret.
const (
	StateSet         State = "set"         // in the database
	StateUnset       State = "unset"       // declared, or deleted
	StateEnvironment State = "environment" // an environment variable overrides the database
)

// Secret is what an administrator may know of a secret: everything but its
// value. Times are UTC text of the form 2006-01-02 15:04:05, empty if unknown.
type Secret struct {
	Name        string
	State       State
	Declared    bool
	Declaration secrets.Declaration // the one that counts, if Declared
	DeclaredBy  []string            // plugins, sorted
	Variable    string              // the environment variable that overrides it

	// The newest version in the database; Version is 0 when there is none.
	Version    int64
	Note       string
	CreatedAt  string
	CreatedBy  string
	UpdatedAt  string
	UpdatedBy  string
	LastUsedAt string
	LastUsedBy string
	Deleted    bool // the newest version is a tombstone
	DeletedAt  string
	DeletedBy  string
	// Damage is ErrIntegrity when the newest version cannot be trusted, so
	// that nobody gets it. Only Show looks.
	Damage error
}

// Version is one version of a secret in its history.
type Version struct {
	Version    int64
	Note       string
	KeyName    string
	CreatedAt  string
	CreatedBy  string
	UpdatedAt  string
	UpdatedBy  string
	DeletedAt  string
	DeletedBy  string
	LastUsedAt string
	LastUsedBy string
	Current    bool
	Deleted    bool  // a tombstone
	Damage     error // ErrIntegrity when it cannot be trusted
}

// List returns every secret that is declared or stored and that the caller may
// manage, sorted by name. It is refused to who manages none.
func (v *Vault) List(ctx context.Context, caller secrets.Caller) ([]Secret, error) {
	may, err := v.authorizeList(caller)
	if err != nil {
		return nil, err
	}
	var rows []db.Row
	err = v.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = tx.NewestOfAll()
		return err
	})
	if err != nil {
		return nil, err
	}
	declared := v.declarations.Load()
	all := make([]Secret, 0, len(rows)+len(declared.merged))
	stored := make(map[string]bool, len(rows))
	for _, row := range rows {
		stored[row.Name] = true
		if !may(row.Name) {
			continue
		}
		all = append(all, v.describe(declared, row.Name, row))
	}
	for _, d := range declared.merged {
		if !stored[d.Name] && may(d.Name) {
			all = append(all, v.describe(declared, d.Name, db.Row{}))
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func (v *Vault) describe(declared *declarations, name string, row db.Row) Secret {
	declaration, ok := declared.byName[name]
	s := Secret{
		Name: name, State: StateUnset,
		Declared: ok, Declaration: declaration, DeclaredBy: declared.users[name],
		Variable: v.environment.Variable(name),
		Version:  row.Version, Note: row.Note,
		CreatedAt: row.CreatedAt, CreatedBy: row.CreatedBy,
		UpdatedAt: row.UpdatedAt, UpdatedBy: row.UpdatedBy,
		LastUsedAt: row.LastUsedAt, LastUsedBy: row.LastUsedBy,
		Deleted: row.Deleted(), DeletedAt: row.DeletedAt, DeletedBy: row.DeletedBy,
	}
	if row.Version > 0 && !s.Deleted {
		s.State = StateSet
	}
	if _, overridden := v.environment.Get(name); overridden {
		s.State = StateEnvironment
	}
	return s
}

// checkName allows a name to be stored: a declared one, one that is in the
// database already, or any well-formed one where undeclared ones are allowed.
func (v *Vault) checkName(ctx context.Context, name string) error {
	declared := v.declarations.Load()
	if _, ok := declared.byName[name]; ok {
		return nil
	}
	stored := false
	err := v.db.View(ctx, func(tx *db.Tx) (err error) {
		_, stored, err = tx.Newest(name)
		return err
	})
	if err != nil || stored {
		return err
	}
	if !v.allowUndeclared {
		return fmt.Errorf("%w: no plugin has declared a secret of this name%s", secrets.ErrNotFound, declared.hint(name))
	}
	if !wellFormed(name) {
		return fmt.Errorf("%w: a new secret's name must be 1 to 255 of A-Z a-z 0-9 _ . -", secrets.ErrInvalid)
	}
	return nil
}

// hint suggests the declared name that is nearest to a name, if one is near.
func (d *declarations) hint(name string) string {
	if len(name) > 255 { // no declared name is that long, and comparing takes time
		return ""
	}
	best, nearest := len(name)/2+1, ""
	for _, declaration := range d.merged {
		if distance := levenshtein.ComputeDistance(name, declaration.Name); distance < best {
			best, nearest = distance, declaration.Name
		}
	}
	if nearest == "" {
		return ""
	}
	return "; did you mean " + nearest + "?"
}
