package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// AuditLog is a database that commands read the log of, whether or not a host
// has it open. Nothing is written to it.
type AuditLog struct {
	db   *db.DB
	door *vault.Vault
}

// OpenAuditLog opens the database that Open would, of which it must be said
// which one that is. An encryption key in the configuration is of use to verify
// the log, and not needed.
func OpenAuditLog(ctx context.Context, cfg Config) (*AuditLog, error) {
	cfg = cfg.withDefaults()
	files, _, own, err := load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	path, err := databasePath(cfg, own.Database, files)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("%w: say which database holds the log, with --internal FILE", secrets.ErrInvalid)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the database %s does not exist", secrets.ErrInvalid, path)
	}
	keys, err := keyring.Parse(own.EncryptionKey)
	if err != nil {
		return nil, fmt.Errorf("plugins.datasette-secrets.%w", err)
	}
	policy, err := access.New(access.Config{})
	if err != nil {
		return nil, err
	}
	opened, err := db.OpenReadOnly(ctx, path, time.Now)
	if err != nil {
		return nil, err
	}
	nothing := source.Environment{Lookup: func(string) (string, bool) { return "", false }}
	door := vault.New(vault.Config{DB: opened, Keys: keys, Policy: policy, Environment: nothing, Now: time.Now, Log: cfg.Log})
	sealed, err := door.HasSeals(ctx)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	if sealed {
		door.Seal() // the keys are others than those of the configuration
	}
	return &AuditLog{opened, door}, nil
}

// Door is the vault over the database.
func (l *AuditLog) Door() *vault.Vault { return l.door }

// Close closes the database.
func (l *AuditLog) Close() error { return l.db.Close() }
