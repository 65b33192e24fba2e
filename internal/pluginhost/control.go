package pluginhost

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Restart stops a plugin and starts it again, also one that failed for good or
// waits for its next start. It returns at once; [Host.Status] tells what
// becomes of it. It is [secrets.ErrNotFound] for an unknown plugin, and
// [secrets.ErrInvalid] for one that is disabled.
func (h *Host) Restart(plugin string) error {
	return h.control(plugin, "restarts", (*supervised).restart)
}

// Enable starts a plugin that was disabled or failed for good, and forgets its
// crashes. It does nothing to one that runs. It returns at once. It is
// [secrets.ErrNotFound] for an unknown plugin, and [secrets.ErrInvalid] for one
// that the configuration turns off.
func (h *Host) Enable(plugin string) error {
	return h.control(plugin, "enables", (*supervised).enable)
}

// Disable stops a plugin until it is enabled. It returns at once. It is
// [secrets.ErrNotFound] for an unknown plugin.
func (h *Host) Disable(plugin string) error {
	return h.control(plugin, "disables", (*supervised).disable)
}

// Log returns what the log says about a plugin, its own lines and the host's:
// those of the last 1000 lines whose Seq is larger than after, oldest first.
// There are none for an unknown plugin.
func (h *Host) Log(plugin string, after int64) []secrets.LogLine {
	s, err := h.find(plugin)
	if err != nil {
		return nil
	}
	return s.lines.after(after)
}

// control lets an administrator do something with a plugin.
func (h *Host) control(plugin, does string, act func(*supervised) error) error {
	s, err := h.find(plugin)
	if err != nil {
		return err
	}
	if err := act(s); err != nil {
		return err
	}
	s.log.Info("an administrator " + does + " the plugin")
	return nil
}

func (h *Host) find(plugin string) (*supervised, error) {
	for _, s := range h.plugins {
		if s.name == plugin {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: there is no plugin of this name", secrets.ErrNotFound)
}

// newTurn begins a turn. It ends with the host, and when an administrator
// wants something else of the plugin.
func (s *supervised) newTurn() (turn context.Context, off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn, s.interrupt = context.WithCancel(s.host.life)
	return turn, s.off
}

// restart ends the turn; the next one starts the plugin.
func (s *supervised) restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return fmt.Errorf("%w: the plugin is disabled; enable it first", secrets.ErrInvalid)
	}
	s.again()
	return nil
}

func (s *supervised) enable() error {
	if s.host.cfg.Grants[s.name].Disabled {
		return fmt.Errorf("%w: the configuration turns this plugin off; set its \"enabled\" to true there", secrets.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off || s.state.State == secrets.PluginFailed {
		s.off = false
		s.again()
	}
	return nil
}

// again ends the turn for one that starts the plugin. The caller has the lock.
func (s *supervised) again() {
	if s.host.life.Err() != nil {
		return
	}
	s.serving.Store(nil) // no more calls from here on
	s.set(secrets.PluginPending, func(state *secrets.PluginStatus) { state.Restarts++ })
	s.interrupt()
}

func (s *supervised) disable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.off {
		s.off = true
		s.serving.Store(nil)
		s.set(secrets.PluginDisabled, nil)
		s.interrupt()
	}
	return nil
}
