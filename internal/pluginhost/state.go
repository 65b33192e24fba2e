package pluginhost

import (
	"context"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

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

// enter changes the state, and whatever else change does, for a turn. Once an
// administrator has ended the turn, what it has to say is out of date.
func (s *supervised) enter(turn context.Context, state secrets.PluginState, change func(*secrets.PluginStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn.Err() == nil {
		s.set(state, change)
	}
}

// remark changes what is known besides the state, for a turn.
func (s *supervised) remark(turn context.Context, change func(*secrets.PluginStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn.Err() == nil {
		change(&s.state)
	}
}

// set is enter for who holds the lock.
func (s *supervised) set(state secrets.PluginState, change func(*secrets.PluginStatus)) {
	s.state.State, s.state.Since, s.state.NextStart = state, now(), time.Time{}
	if change != nil {
		change(&s.state)
	}
}

// end is the last state.
func (s *supervised) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.State != secrets.PluginDisabled {
		s.set(secrets.PluginStopped, nil)
	}
}
