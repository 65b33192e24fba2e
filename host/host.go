// Package host puts a datasette-secrets host together: it reads the
// configuration, opens the database, starts the plugins and gives an
// http.Handler with the pages. It is the one place where the parts are wired,
// and it can be embedded in another Go program:
//
//	h, err := host.Open(ctx, host.Config{Internal: "internal.db", ConfigFile: "datasette.yml"})
//	if err != nil { … }
//	defer h.Close(context.Background())
//	http.ListenAndServe("127.0.0.1:8001", h.Handler())
//
// A program whose host starts plugins calls [Enter] first of all.
//
// The command datasette-secrets is a thin layer of flags over this package.
package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/hsm"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Version is the version of this program.
const Version = "0.1.0"

// Entry proves that main called Enter.
type Entry = sandbox.Entry

// Enter must be the first call of a main whose host starts plugins, with
// os.Args: a plugin in its sandbox begins as another process of this same
// program, in which Enter does not return.
//
//	func main() {
//		entry := host.Enter(os.Args)
//		h, err := host.Open(ctx, host.Config{Entry: entry, PluginsDir: "plugins"})
func Enter(args []string) Entry {
	token.Enter(args)
	return sandbox.Enter(args)
}

// HideMemory closes this process's memory to other processes of its user and
// turns core dumps off, because keys are in it. A main should call it right
// after Enter.
func HideMemory() error { return sandbox.HideMemory() }

// Config says what a host is made of. Its zero value is a host with a
// temporary database and no encryption key. The fields are named after the
// flags of datasette serve.
type Config struct {
	Files       []string    // databases to attach, and at most one folder with a configuration
	Immutable   []string    // databases to attach that nobody writes
	Create      bool        // make the Files that are missing
	Internal    string      // the database of secrets; empty for a temporary one, lost at Close
	ConfigFile  string      // JSON or YAML; "-" reads Stdin
	Metadata    string      // older configuration, of which the plugins and allow keys count
	Settings    [][2]string // keys and values that go over ConfigFile, as -s has them
	Secret      string      // signs cookies and tokens; empty for a random one
	Root        bool        // the actor "root" may do everything that is not denied
	DefaultDeny bool        // deny what is allowed by default, such as the home page
	PluginsDir  string      // folder of executables named datasette-secrets-plugin-*
	VersionNote string      // shown with the version
	// Commands lets commands such as "plugin approve" reach this host, through
	// a socket that a file beside the database names. It needs a database that
	// is not temporary.
	Commands bool
	// Development makes this a host for the author of a plugin; nil for every
	// other host.
	Development *Development
	// Entry is what main got of Enter. Without it plugins cannot be started in
	// a sandbox, and are started only if the configuration says that the
	// sandbox is off or a matter of best effort.
	Entry Entry
	Stdin io.Reader
	// LookupEnv finds environment variables, for secrets and for $env in the
	// configuration. A nil LookupEnv finds none.
	LookupEnv func(name string) (string, bool)
	// HelperEnv is the environment, as NAME=value, of the processes that use
	// PKCS#11 modules, which find their own configuration in it.
	HelperEnv []string
	// Log receives what happens. A nil Log discards it.
	Log *slog.Logger
}

// Host is an open host. It is safe for concurrent use.
type Host struct {
	log       *slog.Logger
	db        *db.DB
	path      string // of its file
	door      *vault.Vault
	control   *control.Server // nil when this host takes no commands
	tokens    *hsm.Helper
	plugins   *pluginhost.Host // nil without a folder of plugins
	handler   http.Handler
	api       http.Handler
	unread    *unread // requests that neither of these was asked for
	signer    signing.Signer
	settings  config.Settings
	rootToken string
	warnings  []string
	metrics   *metrics.Metrics // nil: nothing is counted
	pulse     pulse
	temporary string   // folder to remove at Close, or empty
	logPlaces []string // where signed heads of the log are kept too

	background sync.WaitGroup
	end        context.CancelFunc // of what runs in the background; nil before that
}

// Open reads the configuration, opens the database and starts the plugins. It
// returns when every plugin is ready or has failed for the first time, or is
// too slow; a plugin never makes it fail.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	h := &Host{log: cfg.Log}
	if err := h.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	return h, nil
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.LookupEnv == nil {
		c.LookupEnv = func(string) (string, bool) { return "", false }
	}
	return c
}

func (h *Host) open(ctx context.Context, cfg Config) error {
	base, err := h.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	if err := base.door.Refresh(ctx); err != nil {
		return err
	}
	if err := h.unsealAtStart(ctx, base); err != nil {
		return err
	}
	h.warnOfMemory(base.door)
	h.signer = signing.New(cmp.Or(cfg.Secret, randomHex()))
	if _, err := base.door.Adopt(ctx); err != nil {
		h.log.Warn("secrets that another program stored are adopted only when they are read", "error", err)
	}
	if err := h.startPlugins(ctx, cfg, base.loaded, base.own, base.door); err != nil {
		return err
	}
	idle, err := base.door.IdleRules(ctx)
	if err != nil {
		return err
	}
	h.warnings = append(h.warnings, idle...)
	decide := decider{door: base.door, running: h.plugins}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	h.end = end
	unseal := func() { h.background.Go(func() { h.unsealLater(background, base) }) }
	h.background.Go(func() { h.follow(background, decide, unseal) })
	h.logPlaces = base.own.Log.Heads
	h.background.Go(func() { h.keepLog(background, base.own.Log) })
	if programs, err := cfg.Development.programs(); err == nil && len(programs) > 0 {
		h.background.Go(func() { h.develop(background, programs) })
	}
	if base.tryLater {
		unseal()
	}
	if cfg.Commands && !h.Ephemeral() {
		h.takeCommands(decide, base)
	}
	return h.serve(ctx, cfg, base)
}

// takeCommands lets commands reach this host. It works without them too.
func (h *Host) takeCommands(decide decider, b *base) {
	acts := decide.acts()
	maps.Copy(acts, clientActs(b.door))
	maps.Copy(acts, h.sealActs(b))
	server, err := control.Serve(control.Config{Database: h.path, Acts: acts, Log: h.log})
	if err != nil {
		h.warnings = append(h.warnings, fmt.Sprintf("commands such as \"plugin restart\" do not reach this host: %v", err))
		return
	}
	h.control = server
}

func (h *Host) serve(ctx context.Context, cfg Config, b *base) error {
	h.settings, h.rootToken = b.loaded.Settings(), randomHex()
	sqlite, err := h.db.SQLiteVersion(ctx)
	if err != nil {
		return err
	}
	h.api, h.unread = h.openAPI(b), newUnread(b.door)
	h.handler = h.both(ui.Handler(ui.Config{
		Vault: b.door, Openings: h.openings(b, ""), Signer: h.signer, Policy: b.policy,
		Settings: h.settings, ConfigTree: b.loaded.Redacted, ExtraCSS: b.loaded.ExtraCSS(),
		Plugins: h.Plugins, Running: h.running(), Hooks: h.hooks(), RootToken: h.rootToken, RootEnabled: cfg.Root,
		Databases: describe(b.files), Ephemeral: h.Ephemeral(), Development: cfg.Development != nil,
		Versions:      ui.Versions{Host: Version, Note: cfg.VersionNote, Go: runtime.Version(), SQLite: sqlite},
		StartWarnings: h.warnings,
		Metrics:       h.metrics, Readiness: h.readiness,
		Log: h.log, Now: time.Now,
	}))
	return nil
}

// Handler serves the pages and the API. It honours the settings base_url,
// force_https_urls and max_post_body_bytes.
func (h *Host) Handler() http.Handler { return h.handler }

// Ephemeral reports whether the secrets will be lost at Close.
func (h *Host) Ephemeral() bool { return h.temporary != "" }

// SignInPath is the path of the page that signs "root" in, once. It holds a
// token: show it to the operator only.
func (h *Host) SignInPath() string {
	return h.settings.BaseURL + "-/auth-token?token=" + h.rootToken
}

// Warnings are sentences for the operator about what works, but not as well as
// it should.
func (h *Host) Warnings() []string { return h.warnings }

// ActorCookie returns the ds_actor cookie of a signed-in actor.
func (h *Host) ActorCookie(actor secrets.Actor) (*http.Cookie, error) {
	signed, err := h.signer.SignActor(actor, time.Time{})
	if err != nil {
		return nil, err
	}
	return &http.Cookie{Name: "ds_actor", Value: signed, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}, nil
}

// Close stops the plugins, within a few seconds whatever they do, and closes
// the database. The handler answers no more.
func (h *Host) Close(ctx context.Context) error {
	var errs []error
	if h.control != nil {
		errs = append(errs, h.control.Close())
	}
	if h.end != nil {
		h.end()
		h.background.Wait()
	}
	if h.plugins != nil {
		errs = append(errs, h.plugins.Close(ctx))
	}
	if h.end != nil {
		h.signHead(ctx, h.logPlaces)
	}
	if h.door != nil {
		h.door.Wipe()
	}
	if h.db != nil {
		errs = append(errs, h.db.Close())
	}
	if h.temporary != "" {
		errs = append(errs, os.RemoveAll(h.temporary))
	}
	return errors.Join(errs...)
}

// randomHex returns 256 random bits as 64 hexadecimal digits.
func randomHex() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails: it ends the program instead
	return hex.EncodeToString(raw)
}
