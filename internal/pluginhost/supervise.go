package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	maxReason = 300 // bytes of the reason of a failure
	maxMisses = 3   // health probes in a row that may fail
)

// supervised is one plugin through all its launches.
type supervised struct {
	host    *Host
	name    string
	path    string
	log     *slog.Logger
	journal *journal
	tried   chan struct{} // closed when it was ready or failed for the first time
	first   sync.Once

	program *sandbox.Program // what was last started; nil before the first time
	told    []string         // what of its sandbox the log knows to be missing

	serving atomic.Pointer[launch] // the launch that is ready, or nil

	mu    sync.Mutex
	state secrets.PluginStatus
}

func newSupervised(h *Host, name string) *supervised {
	log := h.cfg.Log.With("plugin", name)
	state := secrets.PluginStarting
	if h.cfg.Grants[name].Disabled {
		state = secrets.PluginDisabled
	}
	return &supervised{
		host:    h,
		name:    name,
		path:    filepath.Join(h.cfg.Dir, prefix+name),
		log:     log,
		journal: newJournal(log),
		tried:   make(chan struct{}),
		state:   secrets.PluginStatus{Name: name, State: state, Since: now(), Sandbox: string(h.cfg.Sandbox)},
	}
}

// now is the time as a page shows it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// status is a copy of what is known.
func (s *supervised) status() secrets.PluginStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.state // its slices are replaced, never changed
	status.DroppedLog = s.journal.dropped.Load()
	return status
}

// enter changes the state, and whatever else change does.
func (s *supervised) enter(state secrets.PluginState, change func(*secrets.PluginStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.State, s.state.Since, s.state.NextStart = state, now(), time.Time{}
	if change != nil {
		change(&s.state)
	}
}

// run launches the plugin again and again until the host closes. A plugin that
// is turned off is not launched.
func (s *supervised) run() {
	defer s.first.Do(func() { close(s.tried) })
	if s.host.cfg.Grants[s.name].Disabled {
		return
	}
	defer s.forget()
	defer s.enter(secrets.PluginStopped, nil)
	for failures := 0; s.host.life.Err() == nil; failures++ {
		lasted, err := s.live()
		if s.host.life.Err() != nil {
			return
		}
		if lasted >= s.host.cfg.Timings.Steady {
			failures = 0
		}
		if !s.rest(err, s.host.cfg.Timings.backoff(failures)) {
			return
		}
	}
}

// rest waits before the next launch; it tells whether there is to be one.
func (s *supervised) rest(err error, wait time.Duration) bool {
	reason := clean(err.Error(), maxReason)
	s.log.Warn("the plugin failed and is started again later", "reason", reason, "wait", wait)
	s.enter(secrets.PluginBackoff, func(state *secrets.PluginStatus) {
		state.LastError, state.NextStart = reason, time.Now().UTC().Add(wait)
	})
	s.first.Do(func() { close(s.tried) })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.host.life.Done():
		return false
	}
	s.enter(secrets.PluginStarting, func(state *secrets.PluginStatus) { state.Restarts++ })
	return true
}

// live is one launch from its start to its end. It returns how long the plugin
// was ready, and why it is so no more.
func (s *supervised) live() (lasted time.Duration, err error) {
	l, err := s.launch()
	if err != nil {
		return 0, err
	}
	s.serving.Store(l)
	began := time.Now()
	err = s.watch(l)
	s.serving.CompareAndSwap(l, nil) // before it is stopped: no more calls
	lasted = time.Since(began)
	return lasted, errors.Join(err, l.stop(s.host.patience))
}

// launch brings the plugin up to where it is ready. Only a few plugins do so
// at a time.
func (s *supervised) launch() (*launch, error) {
	select {
	case s.host.slots <- struct{}{}:
	case <-s.host.life.Done():
		return nil, s.host.life.Err()
	}
	defer func() { <-s.host.slots }()
	policy := s.host.policy(s.name)
	if err := policy.Refusal(); err != nil {
		return nil, err
	}
	if err := s.seal(); err != nil {
		return nil, err
	}
	l, err := newLaunch(s.host, s.name, s.program, policy, s.journal)
	if err != nil {
		return nil, err
	}
	if err := s.bringUp(s.host.life, l); err != nil {
		return nil, errors.Join(err, l.stop(s.host.patience))
	}
	return l, nil
}

// bringUp is the order of a start: the plugin may use secrets from the moment
// it has declared them.
func (s *supervised) bringUp(ctx context.Context, l *launch) error {
	if err := l.handshake(ctx); err != nil {
		return err
	}
	if err := l.connect(ctx, s.host.cfg); err != nil {
		return err
	}
	about, err := l.initialise(ctx, s.host.cfg.HostVersion)
	if err != nil {
		return err
	}
	if err := s.introduce(ctx, l, about); err != nil {
		return err
	}
	if about.starter {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	missing := s.unprotected(l)
	s.enter(secrets.PluginReady, func(state *secrets.PluginStatus) {
		state.Version, state.Hooks, state.Missing = about.version, about.hooks, missing
	})
	s.log.Info("the plugin is ready")
	s.first.Do(func() { close(s.tried) })
	return nil
}

// introduce asks the plugin for its declarations and introduces it to the
// vault, which keeps the former ones if it refuses these. They stay known when
// the plugin ends.
func (s *supervised) introduce(ctx context.Context, l *launch, about introduction) error {
	declarations, err := l.declarations(ctx)
	if err != nil {
		return err
	}
	err = s.host.cfg.Vault.Introduce(ctx, vault.Introduction{
		Plugin: s.name, Hash: "sha256:" + s.program.Hash, Version: about.version, Declarations: declarations,
	})
	if err != nil {
		return fmt.Errorf("its introduction is refused: %w", err)
	}
	var names []string
	for _, d := range declarations {
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Secrets = names
	return nil
}

// watch returns when a ready plugin ends, hangs or is to be stopped.
func (s *supervised) watch(l *launch) error {
	timings := s.host.cfg.Timings
	ticker := time.NewTicker(timings.Probe)
	defer ticker.Stop()
	p := l.runner.process()
	for misses := 0; misses < maxMisses; {
		select {
		case <-s.host.life.Done():
			return nil
		case <-p.exited:
			return fmt.Errorf("it ended by itself (%s)", p.exit())
		case <-ticker.C:
			misses++
			if l.healthy(s.host.life) {
				misses = 0
			}
		}
	}
	return fmt.Errorf("it did not answer %d health probes in a row", maxMisses)
}
