package host

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Others are the secrets that a file of Datasette's plugin datasette-secrets
// holds, each in its newest version.
type Others struct {
	Set     []vault.Imported
	Unset   int            // names whose newest version says that they are not set
	Damaged []vault.Damage // what the key does not open
}

// ReadOthers reads a file of Datasette with its encryption key, and changes
// nothing in it. Datasette may be running on it.
func ReadOthers(ctx context.Context, path string, key secrets.Value) (others Others, err error) {
	keys, err := keyring.Parse(key.Reveal())
	if err != nil {
		return others, fmt.Errorf("the key of %s %w", path, err)
	}
	if keys == nil {
		return others, fmt.Errorf("%w: the key of %s is empty", secrets.ErrInvalid, path)
	}
	defer keys.Wipe()
	rows, err := db.ReadOther(ctx, path, vault.MaxImport+1)
	if err != nil {
		return others, err
	}
	if len(rows) > vault.MaxImport {
		return others, fmt.Errorf("%w: %s holds more than %d secrets", secrets.ErrInvalid, path, vault.MaxImport)
	}
	for _, row := range rows {
		value, err := secrets.Value{}, row.Unfit
		if err == nil {
			value, err = keys.Open(keyring.Place{Name: row.Name, Version: row.Version, KeyName: row.KeyName}, row.Encrypted, nil)
		}
		switch {
		case err != nil:
			others.Damaged = append(others.Damaged, vault.Damage{Name: row.Name, Version: row.Version, Err: err})
		case row.Deleted() || value.Len() == 0:
			others.Unset++
		default:
			others.Set = append(others.Set, vault.Imported{Name: row.Name, Note: row.Note, Value: value})
		}
	}
	return others, nil
}
