// Package vault is the one door to the secrets. Every read or write of a
// secret is a method of [Vault], and every method has the same shape:
//
//	authorize   who asks, for what; nothing is looked at before that
//	act         choose the source, encrypt or decrypt
//	commit      one transaction that keeps what happened
//
// A value leaves only after commit: what cannot be recorded does not happen.
// Every method takes the [secrets.Caller] as its first argument after the
// context, and every error is one of the classes of package secrets, or an
// internal error.
package vault

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/batch"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
)

// Config is what a Vault is made of.
type Config struct {
	DB   *db.DB
	Keys *keyring.Keyring // nil while no encryption key is configured
	// Configured returns the keys that the configuration names by now: the same
	// keyring as before unless they changed. A nil Configured never changes
	// them.
	Configured  func() *keyring.Keyring
	Policy      *access.Policy
	Environment source.Environment
	// AllowUndeclared lets administrators store secrets that no plugin
	// declared.
	AllowUndeclared bool
	// RequireBindings refuses what other programs stored; otherwise it is
	// adopted when it is first seen.
	RequireBindings bool
	// TrustPlugins lets everything that a plugin asks for count as granted,
	// unless it was refused. It is for people who write plugins.
	TrustPlugins bool
	// Relaxed lets the use of a value be recorded without waiting for the disk.
	// A power cut then takes the entries of the last db.MaxLag, and of at most
	// db.MaxLagChanges uses.
	Relaxed bool
	// Log is told of what cannot be trusted and of what was adopted. A nil
	// Log discards it.
	Log *slog.Logger
	Now func() time.Time
}

// Vault guards the secrets of one database. It is safe for concurrent use.
type Vault struct {
	db              *db.DB
	keys            atomic.Pointer[keyState]
	configured      func() *keyring.Keyring // may be nil
	policy          *access.Policy
	environment     source.Environment
	allowUndeclared bool
	requireBindings bool
	trustPlugins    bool
	relaxed         bool
	log             *slog.Logger
	now             func() time.Time
	hub             *hub
	questions       *batch.Group[*question]
	declarations    atomic.Pointer[declarations]
	approvals       atomic.Pointer[approvals]

	damages atomic.Int64

	settling sync.Mutex // held while the two above are replaced
	changes  int64      // of the database, when approvals were last read by Refresh

	unsealing sync.Mutex // held by Unseal
	touching  sync.Mutex // held by NoteClient
}

// New returns a Vault over an open database. Nothing is declared yet, and what
// is known of plugins is read by Refresh or their first introduction.
func New(cfg Config) *Vault {
	v := &Vault{
		db:              cfg.DB,
		configured:      cfg.Configured,
		policy:          cfg.Policy,
		environment:     cfg.Environment,
		allowUndeclared: cfg.AllowUndeclared,
		requireBindings: cfg.RequireBindings,
		trustPlugins:    cfg.TrustPlugins,
		relaxed:         cfg.Relaxed,
		log:             cfg.Log,
		now:             cfg.Now,
		hub:             newHub(),
	}
	v.questions = batch.New(v.answerAll)
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	v.UseKeys(cfg.Keys)
	v.declarations.Store(newDeclarations(map[string][]secrets.Declaration{}, nil, nil))
	v.approvals.Store(&approvals{})
	return v
}

// commit keeps what an act did. It is the only writer of the database, so that
// whatever must be recorded with an act has one place.
func (v *Vault) commit(ctx context.Context, act func(*db.Tx) error) error {
	return v.db.Update(ctx, act)
}

// commitUse is commit for the use of one value.
func (v *Vault) commitUse(ctx context.Context, act func(*db.Tx) error) error {
	if v.relaxed {
		return v.db.UpdateLax(ctx, act)
	}
	return v.commit(ctx, act)
}
