// Package pluginhost launches, supervises and serves plugins: programs of
// other people, run as subprocesses that the host does not trust.
//
// # The idea
//
// Every executable datasette-secrets-plugin-NAME in a folder is a plugin. The
// host starts it, asks it which secrets it needs, tells the vault, and from
// then on answers what the plugin asks. A plugin that ends, hangs or lies is
// shown as failing and started again after a while; it never takes the host
// or another plugin with it.
//
// Each plugin has a supervisor, which takes one turn after the other. In a turn
// it launches the plugin again and again; an administrator who wants something
// else (Restart, Enable, Disable) ends the turn, whatever it is waiting for. A
// launch that is ready serves: it is what calls to the plugin borrow, and what
// the launch of a replaced file takes the place of.
//
//	pending → starting → ready ⇄ degraded
//	   ↑         └──────────┴────────┴──▶ backoff ──▶ failed
//	   └──────────────────────────────────────┘
//
// # Identity
//
// Each launch of a plugin has a private folder, a pair of certificates and a
// listener of its own. Whatever arrives on that listener comes from that
// plugin: the kernel names the connecting process, and the certificate proves
// it. No message says who the sender is.
//
//	host                                   plugin (own process group)
//	 │ stdin: certificates, one line  ────▶ │
//	 │ ◀──── stdout: go-plugin's handshake  │
//	 │ plugin-dir…/plugin…  ── gRPC, TLS ─▶ │ Lifecycle, Declarations, Starter
//	 │ ◀─ gRPC, TLS ──  host.sock           │ Secrets, Configuration
//
// # Distrust
//
// hashicorp/go-plugin gives the protocol; what it leaves open is closed here.
// A plugin gets nothing of the host's environment and standard input. What it
// writes is read by this package alone, with limits on lines and rates. The
// address that it names must be a socket in its own folder. Every call and
// every step of starting and stopping has a deadline, and the last step is
// SIGKILL for its whole process group.
//
// What runs is a sealed copy of the plugin's file, in the sandbox of package
// sandbox: no files but its own folder and the system's libraries, no network,
// no sight of other processes. An administrator may grant more ([Grant]).
package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// maxStarting is how many plugins may be starting at the same time.
const maxStarting = 4

// Config says which plugins to run and what to serve them.
type Config struct {
	// Dir is the folder with the plugins. It may be empty if Programs is not.
	Dir string

	// Programs are further plugins by their names, and the absolute paths of
	// their files.
	Programs map[string]string

	// RuntimeDir is the folder in which the host makes its private folder for
	// sockets. It must have a short path, and exist. Empty means a usual place.
	RuntimeDir string

	// Vault answers the plugins.
	Vault *vault.Vault

	// Signer makes and knows the proofs of actors that plugins are given. The
	// zero Signer accepts none.
	Signer signing.Signer

	// Settings returns a plugin's own block of the configuration, resolved.
	// It may be nil: then there are none.
	Settings func(plugin string) (any, error)

	// Log takes the host's own words about plugins, and the plugins' lines,
	// with the attribute "plugin". It may be nil.
	Log *slog.Logger

	// LookupEnv finds environment variables of the host. Plugins that may use
	// the network are told which proxies and certificates that is used with,
	// and no plugin is told more. It may be nil: then there are none.
	LookupEnv func(name string) (string, bool)

	// Metrics counts what plugins ask for. It may be nil.
	Metrics *metrics.Metrics

	// HostVersion is told to the plugins.
	HostVersion string

	// Entry is what main got of sandbox.Enter. Without it there is no sandbox,
	// and plugins are started only if none is enforced.
	Entry sandbox.Entry

	// Sandbox is how much protection is asked for. Empty means enforced.
	Sandbox sandbox.Mode

	// Kernel is what the system offers for sandboxes; nil means to ask it.
	Kernel *sandbox.Kernel

	// Grants are what the administrator decided about plugins, by their names.
	Grants map[string]Grant

	// Timings may change how patient the host is.
	Timings Timings
}

// Host runs plugins until it is closed.
type Host struct {
	cfg     Config
	runtime *rundir.Dir   // its private folder
	plugins []*supervised // sorted by name
	slots   chan struct{} // one per plugin that may be starting

	life     context.Context // ends when the plugins are to stop
	end      context.CancelFunc
	patience context.Context // ends when they are to be killed
	hurry    context.CancelFunc
	running  sync.WaitGroup
	closing  sync.Once
	closed   error
}

// Start starts every plugin in the folder. It returns as soon as each one is
// ready or has failed once, and after a few seconds at the latest; whatever a
// plugin does is told by [Host.Status], and is never an error. When ctx ends
// before that, the plugins are stopped and the cause is returned. The plugins
// then run until [Host.Close].
func Start(ctx context.Context, cfg Config) (*Host, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = func(string) (string, bool) { return "", false }
	}
	cfg.Timings = cfg.Timings.withDefaults()
	cfg.Sandbox = cmp.Or(cfg.Sandbox, sandbox.Enforce)
	names, err := cfg.names()
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("finding the folder of plugins: %w", err)
	}
	runtime, err := rundir.Make(cfg.RuntimeDir, longestBelow)
	if err != nil {
		return nil, fmt.Errorf("making the private folder of the plugins: %w", err)
	}
	for name := range cfg.Grants {
		if !slices.Contains(names, name) {
			cfg.Log.Warn("the configuration decides about a plugin that is not there", "plugin", name)
		}
	}
	if cfg.Kernel == nil && len(names) > 0 && cfg.Sandbox != sandbox.Off {
		kernel := cfg.Entry.Probe()
		cfg.Kernel = &kernel
	}
	h := newHost(cfg, runtime, names)
	for _, s := range h.plugins {
		h.running.Go(s.run)
	}
	if err := h.firstStarts(ctx); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	return h, nil
}

func newHost(cfg Config, runtime *rundir.Dir, names []string) *Host {
	h := &Host{cfg: cfg, runtime: runtime, slots: make(chan struct{}, maxStarting)}
	h.life, h.end = context.WithCancel(context.Background())
	h.patience, h.hurry = context.WithCancel(context.Background())
	for _, name := range names {
		h.plugins = append(h.plugins, newSupervised(h, name))
	}
	slices.SortFunc(h.plugins, func(a, b *supervised) int { return strings.Compare(a.name, b.name) })
	return h
}

// firstStarts waits until every plugin is ready or has failed once.
func (h *Host) firstStarts(ctx context.Context) error {
	bound := time.NewTimer(h.cfg.Timings.FirstStart)
	defer bound.Stop()
	for _, s := range h.plugins {
		select {
		case <-s.tried:
		case <-bound.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for plugins to start: %w", context.Cause(ctx))
		}
	}
	return nil
}

// Started reports whether every plugin was ready once, or failed.
func (h *Host) Started() bool {
	for _, s := range h.plugins {
		select {
		case <-s.tried:
		default:
			return false
		}
	}
	return true
}

// Status tells where each plugin stands, sorted by name. It never waits for
// a plugin.
func (h *Host) Status() []secrets.PluginStatus {
	all := make([]secrets.PluginStatus, 0, len(h.plugins))
	for _, s := range h.plugins {
		all = append(all, s.status())
	}
	return all
}

// Close stops all plugins side by side and removes the private folder. It
// takes as long as the slowest plugin, but no longer than about three seconds
// or until ctx ends; then whatever is left is killed. It may be called again,
// and then waits for the first call.
func (h *Host) Close(ctx context.Context) error {
	h.closing.Do(func() { h.closed = h.close(ctx) })
	return h.closed
}

// killedEnd is how long processes may take to be gone after they were killed:
// long, for a machine that is very busy.
const killedEnd = 5 * time.Second

func (h *Host) close(ctx context.Context) error {
	defer h.hurry()
	h.end()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	if !ended(ctx, done, h.cfg.Timings.Close) {
		h.hurry()
		if !ended(context.Background(), done, killedEnd) {
			return errors.New("stopping the plugins: some did not end when killed")
		}
	}
	if err := h.runtime.Remove(); err != nil {
		return fmt.Errorf("removing the private folder of the plugins: %w", err)
	}
	return nil
}

// ended waits for done, at most as long as limit and ctx allow.
func ended(ctx context.Context, done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}
