package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// base is what a host stands on: its configuration and the door to its secrets.
type base struct {
	files  []databaseFile
	loaded *config.Config
	own    config.SecretsConfig
	policy *access.Policy
	keys   *keyring.Keyring // as configured; nil without
	source *keySource       // of keys, should the configured ones change
	lookup func(name string) (string, bool)
	door   *vault.Vault

	tryLater bool // it is sealed, and what opens it may come yet
}

// prepare reads the configuration and opens the database.
func (h *Host) prepare(ctx context.Context, cfg Config) (*base, error) {
	files, loaded, own, err := load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &base{files: files, loaded: loaded, own: own, lookup: cfg.LookupEnv}
	h.tokens = NewTokens(cfg)
	h.warnings = append(b.loaded.Warnings(), b.own.Warnings...)
	if err := b.check(cfg); err != nil {
		return nil, err
	}
	h.warnings = append(h.warnings, b.policy.Slips()...)
	if err := b.readKeys(h.log); err != nil {
		return nil, err
	}
	if err := h.openDatabase(ctx, cfg, b.own.Database, files); err != nil {
		return nil, err
	}
	h.observe(b.own.Metrics)
	if cfg.Development != nil && b.keys == nil && h.Ephemeral() {
		if err := b.throwaway(); err != nil {
			return nil, err
		}
	}
	h.openDoor(cfg, b)
	for _, e := range exposures(h.path, loaded) {
		h.warnings = append(h.warnings, e.String()+"; run: "+e.fix())
	}
	return b, nil
}

// check reads those parts of the configuration that may be wrong in themselves.
func (b *base) check(cfg Config) (err error) {
	if _, err := b.loaded.Seals(); err != nil {
		return err
	}
	b.policy, err = newPolicy(cfg, b.loaded, b.own)
	return err
}

// newPolicy makes the permissions of a configuration.
func newPolicy(cfg Config, loaded *config.Config, own config.SecretsConfig) (*access.Policy, error) {
	rules := map[string]access.SecretConfig{}
	for name, r := range own.Rules {
		rules[name] = access.SecretConfig(r)
	}
	return access.New(access.Config{
		Permissions: loaded.Permissions(), Allow: loaded.Allow(),
		Root: cfg.Root, DefaultDeny: cfg.DefaultDeny,
		Secrets: rules, TrustAsserted: own.TrustAsserted,
	})
}

// readKeys reads the configured keys.
func (b *base) readKeys(log *slog.Logger) (err error) {
	if b.keys, err = keyring.Parse(b.own.EncryptionKey); err != nil {
		return fmt.Errorf("plugins.datasette-secrets.%w", err)
	}
	b.own.EncryptionKey = nil // the less its text is kept, the better
	b.source = &keySource{log: log, loaded: b.loaded, ring: b.keys}
	return nil
}

// openDoor makes the vault over the open database.
func (h *Host) openDoor(cfg Config, b *base) {
	b.door = vault.New(vault.Config{
		DB: h.db, Keys: b.keys, Configured: b.source.current, Policy: b.policy,
		Environment:     source.Environment{Lookup: cfg.LookupEnv},
		AllowUndeclared: b.own.AllowUndeclared, RequireBindings: b.own.RequireBindings,
		TrustPlugins: cfg.Development != nil, Relaxed: b.own.Log.Relaxed,
		Log: h.log, Now: time.Now,
	})
	h.door = b.door
}

// load finds the databases and reads the configuration.
func load(ctx context.Context, cfg Config) (files []databaseFile, loaded *config.Config, own config.SecretsConfig, err error) {
	files, folder, err := databaseFiles(ctx, cfg)
	if err != nil {
		return nil, nil, own, err
	}
	loaded, err = config.Load(config.Source{
		Files: configFiles(cfg), Metadata: cfg.Metadata, Sets: cfg.Settings,
		Dir: folder, Stdin: cfg.Stdin, Env: cfg.LookupEnv,
	})
	if err == nil {
		own, err = loaded.Secrets()
	}
	return files, loaded, own, err
}

func configFiles(cfg Config) []string {
	if cfg.ConfigFile == "" {
		return nil
	}
	return []string{cfg.ConfigFile}
}

// databasePath is the file that holds the secrets, empty for a temporary one.
func databasePath(cfg Config, name string, files []databaseFile) (string, error) {
	if name == "" || name == "_internal" {
		return cfg.Internal, nil
	}
	file, err := attached(name, files)
	return file.path, err
}

// openDatabase opens the file that holds the secrets: an attached one that the
// configuration names, the internal one, or a temporary one.
func (h *Host) openDatabase(ctx context.Context, cfg Config, name string, files []databaseFile) error {
	path, err := databasePath(cfg, name, files)
	if err != nil {
		return err
	}
	if path == "" {
		folder, err := os.MkdirTemp("", "datasette-secrets-")
		if err != nil {
			return fmt.Errorf("making a temporary folder: %w", err)
		}
		h.temporary = folder
		path = filepath.Join(folder, "internal.db")
	}
	opened, warnings, err := db.Open(ctx, path, time.Now)
	if err != nil {
		return err
	}
	h.db, h.path = opened, path
	h.warnings = append(h.warnings, warnings...)
	return nil
}
