package pluginhost

import (
	"context"
	"errors"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// upgrade follows a plugin's file while a launch of it runs. When the file is
// replaced, the new one is started beside the launch, and takes its place once
// it is ready. What does not become ready changes nothing.
type upgrade struct {
	s       *supervised
	running *launch

	seen     sandbox.Mark // of the file at the last look
	known    sandbox.Mark // of the file that runs, or was tried in vain
	retry    time.Time    // when that is tried again; zero for never
	failures int          // to start it, in a row
	crashes  breaker

	result chan attempt // nil while nothing is tried
	cancel context.CancelFunc
}

// attempt is what became of a new file.
type attempt struct {
	launch *launch // nil if it failed
	err    error
}

// errSame: the file was replaced by its like.
var errSame = errors.New("the file holds what it did")

// follow begins to follow the file of the launch that runs.
func (s *supervised) follow(running *launch) *upgrade {
	mark := s.program.Mark()
	return &upgrade{s: s, running: running, seen: mark, known: mark}
}

// look starts the file if it is another one than before. A file that is still
// being written is left alone until the next look.
func (u *upgrade) look(turn context.Context) {
	mark, err := sandbox.Look(u.s.path)
	if err != nil {
		return // what runs goes on without its file
	}
	complete := mark == u.seen
	u.seen = mark
	if u.result != nil || !complete {
		return
	}
	if mark == u.known && (u.retry.IsZero() || time.Now().Before(u.retry)) {
		return
	}
	if mark != u.known {
		u.failures, u.crashes = 0, breaker{}
	}
	u.known, u.retry = mark, time.Time{}
	u.start(turn)
}

func (u *upgrade) start(turn context.Context) {
	ctx, cancel := context.WithCancel(turn)
	result := make(chan attempt, 1)
	u.result, u.cancel = result, cancel
	u.s.log.Info("the plugin's file was replaced; the new one is started beside the former")
	go func() {
		l, err := u.s.launch(ctx, u.running)
		result <- attempt{launch: l, err: err}
	}()
}

// settle takes the result of an attempt. It returns the launch that is to
// serve from now on, or nil.
func (u *upgrade) settle(turn context.Context, done attempt) *launch {
	u.result = nil
	u.cancel()
	switch {
	case done.err == nil:
		return done.launch
	case errors.Is(done.err, errSame):
		u.s.log.Info("the plugin's new file holds what the former did")
		return nil
	case turn.Err() != nil:
		return nil
	}
	timings := u.s.host.cfg.Timings
	cause := u.s.journal.redactor.fit(done.err.Error(), maxReason)
	reason := clean("the new file does not work, and the former goes on: "+cause, maxReason)
	u.s.log.Warn("the plugin's new file does not work; the former goes on", "reason", cause)
	u.s.remark(turn, func(state *secrets.PluginStatus) { state.LastError = reason })
	if !u.crashes.crash(time.Now(), timings.Breaker) {
		u.retry = time.Now().Add(timings.backoff(u.failures))
		u.failures++
	}
	return nil
}

// abandon ends an attempt that goes on still.
func (u *upgrade) abandon() {
	if u.result == nil {
		return
	}
	u.cancel()
	if done := <-u.result; done.launch != nil {
		u.s.discard(done.launch)
	}
}

// replace lets next serve instead of old, which is stopped once nobody uses it.
func (s *supervised) replace(turn context.Context, old, next *launch) {
	s.serve(turn, next)
	s.remark(turn, func(state *secrets.PluginStatus) { state.LastError = "" })
	s.host.running.Go(func() {
		old.users.drain(turn, s.host.cfg.Timings.Drain)
		s.discard(old)
	})
}

// discard stops a launch that nobody waits for.
func (s *supervised) discard(l *launch) {
	if err := l.stop(s.host.patience); err != nil {
		s.log.Warn("stopping the plugin's former process failed", "error", err)
	}
}
