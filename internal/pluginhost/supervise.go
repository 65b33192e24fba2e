package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const maxReason = 300 // bytes of the reason of a failure

// supervised is one plugin through all its launches.
type supervised struct {
	host    *Host
	name    string
	path    string
	log     *slog.Logger
	lines   *ring // what log was told
	journal *journal
	tried   chan struct{} // closed when it was ready or failed for the first time
	first   sync.Once

	program *sandbox.Program // what was last started; nil before the first time
	told    []string         // what of its sandbox the log knows to be missing

	serving atomic.Pointer[launch] // the launch that is ready, or nil

	mu        sync.Mutex
	state     secrets.PluginStatus
	off       bool               // an administrator wants it not to run
	interrupt context.CancelFunc // ends the present turn
}

func newSupervised(h *Host, name string) *supervised {
	lines := &ring{}
	log := slog.New(recorder{next: h.cfg.Log.With("plugin", name).Handler(), ring: lines})
	state, off := secrets.PluginPending, h.cfg.Grants[name].Disabled || h.cfg.Vault.PluginDisabled(name)
	if off {
		state = secrets.PluginDisabled
	}
	return &supervised{
		host:      h,
		name:      name,
		path:      h.cfg.path(name),
		log:       log,
		lines:     lines,
		journal:   newJournal(log),
		tried:     make(chan struct{}),
		state:     secrets.PluginStatus{Name: name, State: state, Since: now(), Sandbox: string(h.cfg.Sandbox)},
		off:       off,
		interrupt: func() {},
	}
}

// run takes one turn after the other until the host closes. A turn ends when
// an administrator wants something else of the plugin than before.
func (s *supervised) run() {
	defer s.settled()
	defer s.forget()
	defer s.end()
	recalled := false
	for s.host.life.Err() == nil {
		turn, off := s.newTurn()
		if off {
			s.settled()
			<-turn.Done()
			continue
		}
		if !recalled {
			recalled = true
			s.recall(turn)
		}
		s.keepUp(turn)
	}
}

// recall lets the declarations count that the vault knows of this very program,
// long before it says them again itself. What is wrong with the file is found
// out when it is launched.
func (s *supervised) recall(turn context.Context) {
	if s.seal() != nil {
		return
	}
	known, ok := s.host.cfg.Vault.Recall(s.name, hashOf(s.program))
	if !ok {
		return
	}
	s.remark(turn, func(state *secrets.PluginStatus) {
		state.Version, state.Hash, state.Secrets = known.Version, known.Hash, names(known.Declarations)
	})
}

// settled tells the start of the host that it need not wait for this plugin.
func (s *supervised) settled() { s.first.Do(func() { close(s.tried) }) }

// keepUp launches the plugin again and again until the turn ends, or until it
// crashed too often; then it waits for the end of the turn.
func (s *supervised) keepUp(turn context.Context) {
	var crashes breaker
	for failures := 0; ; failures++ {
		ending := s.live(turn)
		if turn.Err() != nil {
			return
		}
		if ending.lasted >= s.host.cfg.Timings.Steady {
			failures = 0
		}
		reason := s.journal.redactor.fit(ending.err.Error(), maxReason)
		if ending.crashed && crashes.crash(time.Now(), s.host.cfg.Timings.Breaker) {
			s.giveUp(turn, reason)
			return
		}
		if !s.rest(turn, reason, s.host.cfg.Timings.backoff(failures)) {
			return
		}
	}
}

// rest waits before the next launch; it tells whether there is to be one.
func (s *supervised) rest(turn context.Context, reason string, wait time.Duration) bool {
	s.log.Warn("the plugin failed and is started again later", "reason", reason, "wait", wait)
	s.enter(turn, secrets.PluginBackoff, func(state *secrets.PluginStatus) {
		state.LastError, state.NextStart = reason, time.Now().UTC().Add(wait)
	})
	s.settled()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-turn.Done():
		return false
	}
	s.enter(turn, secrets.PluginPending, func(state *secrets.PluginStatus) { state.Restarts++ })
	return true
}

// giveUp waits until an administrator wants the plugin to be tried again.
func (s *supervised) giveUp(turn context.Context, reason string) {
	s.log.Error("the plugin crashed too often and is not started again by itself", "reason", reason, "crashes", maxCrashes)
	s.enter(turn, secrets.PluginFailed, func(state *secrets.PluginStatus) { state.LastError = reason })
	s.settled()
	<-turn.Done()
}

// ending is how a plugin's service ended.
type ending struct {
	crashed bool          // a process ran, and failed
	lasted  time.Duration // how long it was ready
	err     error         // why it is so no more
}

// live is one launch from its start to its end, and all those that take its
// place in between.
func (s *supervised) live(turn context.Context) ending {
	l, err := s.launch(turn, nil)
	if err != nil {
		return ending{crashed: errors.As(err, new(crash)), err: err}
	}
	s.serve(turn, l)
	for began := time.Now(); ; began = time.Now() {
		next, err := s.watch(turn, l)
		if next == nil {
			s.serving.CompareAndSwap(l, nil) // before it is stopped: no more calls
			lasted := time.Since(began)
			l.users.drain(s.host.life, s.host.cfg.Timings.Shutdown)
			return ending{crashed: true, lasted: lasted, err: errors.Join(err, l.stop(s.host.patience))}
		}
		s.replace(turn, l, next)
		l = next
	}
}

// serve lets others call the plugin, unless an administrator ended the turn.
func (s *supervised) serve(turn context.Context, l *launch) {
	missing := s.unprotected(l)
	s.log.Info("the plugin is ready")
	defer s.settled()
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn.Err() != nil {
		return
	}
	s.serving.Store(l)
	s.set(secrets.PluginReady, func(state *secrets.PluginStatus) {
		state.Version, state.Hash, state.Hooks = l.about.version, l.hash, l.about.hooks
		state.Missing = missing
	})
}

// crash is the failure of a launch whose process ran.
type crash struct{ error }

// Unwrap returns what failed.
func (c crash) Unwrap() error { return c.error }

// launch brings the plugin up to where it is ready. Only a few plugins do so
// at a time. Nothing of a launch that fails is left.
//
// It may do so beside a launch that runs already. Then it fails with errSame if
// the file still holds what runs.
func (s *supervised) launch(turn context.Context, beside *launch) (*launch, error) {
	select {
	case s.host.slots <- struct{}{}:
	case <-turn.Done():
		return nil, turn.Err()
	}
	defer func() { <-s.host.slots }()
	if beside == nil {
		s.enter(turn, secrets.PluginStarting, nil)
	}
	policy := s.host.policy(s.name)
	if err := policy.Refusal(); err != nil {
		return nil, err
	}
	if err := s.seal(); err != nil {
		return nil, err
	}
	if beside != nil && beside.hash == hashOf(s.program) {
		return nil, errSame
	}
	if beside == nil {
		s.journal.redactor.renew()
	}
	l, err := newLaunch(s.host, s.name, s.program, policy, s.journal)
	if err != nil {
		return nil, err
	}
	if err = s.bringUp(turn, l, beside); err == nil {
		return l, nil
	}
	// That the host cannot record the plugin now is not the plugin's doing.
	crashed := l.runner.process() != nil && !errors.Is(err, secrets.ErrUnavailable)
	if err = errors.Join(err, l.stop(s.host.patience)); crashed {
		err = crash{err}
	}
	return nil, err
}

// bringUp is the order of a start: the plugin may use secrets from the moment
// it is introduced to the vault.
func (s *supervised) bringUp(turn context.Context, l, beside *launch) error {
	if err := l.handshake(turn); err != nil {
		return err
	}
	if err := l.connect(turn, s.host.cfg); err != nil {
		return err
	}
	if err := l.initialise(turn, s.host.cfg.HostVersion); err != nil {
		return err
	}
	if err := l.askDeclarations(turn); err != nil {
		return err
	}
	if err := serves(turn, l.conn); err != nil {
		return l.explain("the first health probe", err)
	}
	if err := s.introduce(turn, l); err != nil {
		return err
	}
	if !l.about.starter {
		return nil
	}
	err := l.begin(turn)
	if err != nil && beside != nil { // which goes on with what it declared
		err = errors.Join(err, s.introduce(turn, beside))
	}
	return err
}

// introduce introduces the plugin to the vault, which keeps the former
// declarations if it refuses these. They stay known when the plugin ends.
func (s *supervised) introduce(ctx context.Context, l *launch) error {
	err := s.host.cfg.Vault.Introduce(ctx, vault.Introduction{
		Plugin: s.name, Hash: l.hash, Version: l.about.version, Declarations: l.about.declarations,
		Hooks: l.hooks.offered,
	})
	if err != nil {
		return fmt.Errorf("its introduction is refused: %w", err)
	}
	s.remark(ctx, func(state *secrets.PluginStatus) { state.Secrets = names(l.about.declarations) })
	return nil
}
