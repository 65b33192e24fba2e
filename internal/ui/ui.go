// Package ui serves the pages under /-/ where people manage secrets.
//
// # How a request travels
//
//	observe    gives it a number, and counts and logs its answer (observe.go)
//	headers    the security headers, on every response
//	sameOrigin a change that another site's page sent is refused (origin.go)
//	path       base_url is taken off; the raw, still encoded path is kept (path.go)
//	routes     one table: path → handler (routes.go)
//	handle     who is asking (identify.go), then the handler, then, for an
//	           error, the one writer of error pages (fail.go)
//
// Plugins take part by Hooks (hooks.go): they may know who is asking, have links
// in the menu, names for people, and pages of their own (pluginpage.go).
//
// A handler has the type func(w, *request) error. It fills a typed page struct
// and renders it, redirects, or returns an error; it never writes an error
// page itself.
//
// # What never happens
//
// No page, header or log line holds a secret's value. The package reads no
// value at all: it hands typed text to the vault and forgets it. A form that
// fails comes back empty.
//
// The pages need no JavaScript. The one small script adds convenience.
package ui

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Config is what the pages need. Vault, Signer and Policy are required.
type Config struct {
	Vault    *vault.Vault
	Openings func() []vault.Opening // what the configuration has for seals; nil: nothing
	Signer   signing.Signer
	Policy   *access.Policy
	Settings config.Settings

	ConfigTree func() map[string]any         // the configuration, already redacted, for /-/config; nil: empty
	ExtraCSS   []config.Asset                // style sheets of the administrator, after the built-in one
	Plugins    func() []secrets.PluginStatus // nil: no plugins
	Running    PluginControl                 // acts on them; nil: no plugins
	Hooks      Hooks                         // what they add to the pages

	RootToken   string // what /-/auth-token accepts, once; empty: nothing
	RootEnabled bool   // the host was started with --root

	Metrics *metrics.Metrics // what /-/metrics shows; nil: there is no such page
	// Readiness says what this host lacks to do its work, for /-/readyz. A nil
	// Readiness finds nothing.
	Readiness func(context.Context) []Check

	Databases     []Database // attached databases
	Ephemeral     bool       // secrets are lost when the host stops
	Development   bool       // the host is for the author of a plugin, and approves by itself
	Versions      Versions
	StartWarnings []string // shown to people who manage secrets

	Log *slog.Logger     // nil: discarded
	Now func() time.Time // nil: time.Now
}

// PluginControl acts on running plugins. An unknown name is
// secrets.ErrNotFound, and what cannot be done at the time secrets.ErrInvalid.
type PluginControl interface {
	Restart(plugin string) error
	Enable(plugin string) error
	Disable(plugin string) error
	Log(plugin string, after int64) []secrets.LogLine // oldest first
}

// Database is an attached database file.
type Database struct {
	Name  string
	Path  string // only its last element is ever shown
	Size  int64  // bytes
	Write bool   // whether the host may write to it
}

// Versions is what /-/versions shows.
type Versions struct {
	Host   string // of datasette-secrets
	Go     string
	SQLite string
	Note   string // of --version-note; may be empty
}

// Handler returns the handler of all pages.
func Handler(cfg Config) http.Handler {
	s := newSite(cfg.withDefaults())
	return s.observe(s.headers(s.sameOrigin(s.normalize(s.router()))))
}

func (c Config) withDefaults() Config {
	if c.ConfigTree == nil {
		c.ConfigTree = func() map[string]any { return map[string]any{} }
	}
	if c.Plugins == nil {
		c.Plugins = func() []secrets.PluginStatus { return nil }
	}
	if c.Readiness == nil {
		c.Readiness = func(context.Context) []Check { return nil }
	}
	c.Hooks = c.Hooks.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// site is the handler's state. Only what follows markup changes after newSite.
type site struct {
	Config
	prefix   string // settings.base_url: "/" or "/prefix/"
	csp      string // the Content-Security-Policy header
	assets   assets
	pages    pages
	markup   markup
	root     rootToken
	tries    *rate.Limiter // of unsealing
	guesses  *rate.Limiter // of tokens to sign in with, that are recorded
	verified checked
}

func newSite(cfg Config) *site {
	s := &site{
		Config:  cfg,
		prefix:  cleanBase(cfg.Settings.BaseURL),
		assets:  loadAssets(),
		pages:   parsePages(),
		markup:  newMarkup(),
		tries:   newTries(),
		guesses: newTries(),
	}
	s.csp = contentSecurityPolicy(cfg.ExtraCSS)
	s.root.text = cfg.RootToken
	return s
}
