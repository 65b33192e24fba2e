package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// becomes waits until the plugin is in a state.
func (w *world) becomes(name string, state secrets.PluginState) {
	w.t.Helper()
	eventually(w.t, func() error {
		if status := w.status(name); status.State != state {
			return fmt.Errorf("%s is %s, want %s: %s", name, status.State, state, status.LastError)
		}
		return nil
	})
}

// isRunning waits until so many processes run.
func (w *world) isRunning(count int) {
	w.t.Helper()
	eventually(w.t, func() error {
		if running := processesOf(w.runtime); len(running) != count {
			return fmt.Errorf("%d processes run, want %d: %v", len(running), count, running)
		}
		return nil
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestartByHand(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	before := processesOf(w.runtime)
	must(t, w.Restart("healthy"))
	if state := w.status("healthy").State; state == secrets.PluginReady {
		t.Error("it is ready still")
	}
	w.isReady("healthy")
	after := processesOf(w.runtime)
	if len(before) != 1 || len(after) != 1 || before[0] == after[0] {
		t.Errorf("running before: %v, after: %v", before, after)
	}
	if status := w.status("healthy"); status.Restarts != 1 || status.LastError != "" {
		t.Errorf("it is %+v", status)
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	must(t, w.Disable("healthy"))
	if _, err := w.Call(t.Context(), "healthy", "x"); !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("a call to a disabled plugin: %v", err)
	}
	w.isRunning(0)
	if state := w.status("healthy").State; state != secrets.PluginDisabled {
		t.Errorf("it is %s", state)
	}
	if err := w.Restart("healthy"); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("restarting a disabled plugin: %v", err)
	}
	must(t, w.Disable("healthy"))
	must(t, w.Enable("healthy"))
	w.isReady("healthy")
	must(t, w.Enable("healthy"))
	if state := w.status("healthy").State; state != secrets.PluginReady {
		t.Errorf("enabling a running plugin made it %s", state)
	}
	must(t, w.Disable("healthy"))
	w.close() // stays disabled
	if state := w.status("healthy").State; state != secrets.PluginDisabled {
		t.Errorf("in the end it is %s", state)
	}
}

// What the configuration turns off cannot be turned on elsewhere.
func TestEnableAgainstConfiguration(t *testing.T) {
	t.Parallel()
	w := startWith(t, pluginhost.Config{
		Dir: pluginsDir(t, "healthy"), Timings: quick(),
		Grants: map[string]pluginhost.Grant{"healthy": {Disabled: true}},
	})
	if err := w.Enable("healthy"); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("enabling it: %v", err)
	}
	if err := w.Restart("healthy"); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("restarting it: %v", err)
	}
	w.becomes("healthy", secrets.PluginDisabled)
	w.isRunning(0)
}

func TestControlOfStrangers(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	for name, act := range map[string]func(string) error{"restart": w.Restart, "enable": w.Enable, "disable": w.Disable} {
		if err := act("nobody"); !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if lines := w.Log("nobody", 0); lines != nil {
		t.Errorf("its log: %v", lines)
	}
}

// A plugin that crashes again and again is left alone until somebody cares.
func TestBreaker(t *testing.T) {
	t.Parallel()
	timings := quick()
	timings.Backoff, timings.MaxBackoff = time.Millisecond, time.Millisecond
	w := start(t, timings, "exits", "healthy")
	for _, again := range []func(string) error{w.Enable, w.Restart, w.Enable} {
		w.becomes("exits", secrets.PluginFailed)
		status := w.status("exits")
		if !strings.Contains(status.LastError, "exit status 3") || !status.NextStart.IsZero() {
			t.Errorf("it is %+v", status)
		}
		before := status.Restarts
		must(t, again("exits"))
		eventually(t, func() error {
			if now := w.status("exits").Restarts; now < before+5 {
				return fmt.Errorf("it was started %d times more, want 5", now-before)
			}
			return nil
		})
	}
	w.becomes("exits", secrets.PluginFailed)
	must(t, w.Disable("exits"))
	w.becomes("exits", secrets.PluginDisabled)
	w.isUnharmed()
}

func TestBreakerForgets(t *testing.T) {
	t.Parallel()
	crash := pluginhost.Breaker()
	at := time.Now()
	for i := range 12 { // four in any ten minutes
		if crash(at.Add(time.Duration(i) * 150 * time.Second)) {
			t.Fatalf("crash %d is too many", i)
		}
	}
	crash = pluginhost.Breaker()
	for i := range 5 {
		if tooMany := crash(at.Add(time.Duration(i) * 149 * time.Second)); tooMany != (i == 4) {
			t.Errorf("crash %d: %v", i, tooMany)
		}
	}
}

// No wait keeps an administrator from turning a plugin off.
func TestEveryWaitIsInterrupted(t *testing.T) {
	t.Parallel()
	long := pluginhost.Timings{
		FirstStart: 10 * time.Millisecond, Handshake: time.Hour, Call: time.Hour,
		Backoff: time.Hour, MaxBackoff: time.Hour,
	}
	w := start(t, long, "exits")
	w.becomes("exits", secrets.PluginBackoff)
	must(t, w.Restart("exits"))
	eventually(t, func() error {
		if status := w.status("exits"); status.Restarts != 1 || status.State != secrets.PluginBackoff {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
	must(t, w.Disable("exits"))
	w.becomes("exits", secrets.PluginDisabled)

	// Only four start at a time, so that two of them wait for their turn.
	w = start(t, long, "hung", "silent", "silent.1", "silent.2", "silent.3", "silent.4")
	eventually(t, func() error {
		states := map[secrets.PluginState]int{}
		for _, status := range w.Status() {
			states[status.State]++
		}
		if states[secrets.PluginStarting] != 4 || states[secrets.PluginPending] != 2 {
			return fmt.Errorf("the states are %v", states)
		}
		return nil
	})
	for _, status := range w.Status() {
		must(t, w.Disable(status.Name))
	}
	w.isRunning(0)
	must(t, w.Enable("hung"))
	w.becomes("hung", secrets.PluginStarting)
}

// A plugin that misses a probe is shown as such, until it answers again.
func TestDegradedByProbe(t *testing.T) {
	t.Parallel()
	timings := quick()
	timings.Probe, timings.ProbeCall = 20*time.Millisecond, 5*time.Second
	w := start(t, timings, "healthy")
	pid := w.pidOf("healthy")
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	w.becomes("healthy", secrets.PluginDegraded)
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	w.isReady("healthy")
	if status := w.status("healthy"); status.Restarts != 0 || status.LastError != "it did not answer the last health probe" {
		t.Errorf("it is %+v", status)
	}
}

// So is one that is too slow for its callers.
func TestDegradedByCalls(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	late := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := w.Call(ctx, "healthy", "slow"); err == nil {
			t.Error("a slow call was answered")
		}
	}
	inTime := func() {
		if _, err := w.Call(t.Context(), "healthy", "quick"); err != nil {
			t.Error(err)
		}
	}
	late()
	late()
	inTime()
	late()
	late()
	if state := w.status("healthy").State; state != secrets.PluginReady {
		t.Errorf("it is %s after two late answers in a row", state)
	}
	late()
	w.becomes("healthy", secrets.PluginDegraded)
	inTime()
	w.isReady("healthy")
}

// pidOf is the process of a plugin, the only one of the host.
func (w *world) pidOf(name string) (pid int) {
	w.t.Helper()
	running := processesOf(w.runtime)
	if len(running) != 1 {
		w.t.Fatalf("%s and others run: %v", name, running)
	}
	if _, err := fmt.Sscanf(running[0], "/proc/%d ", &pid); err != nil {
		w.t.Fatal(err)
	}
	return pid
}

// Once its socket is gone a plugin lives on, but nobody can reach it anew.
func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	timings := quick()
	timings.Probe, timings.ProbeDial = 20*time.Millisecond, 50*time.Millisecond
	w := start(t, timings, "unlinks", "healthy")
	w.says("removed 1")
	w.failsWith("unlinks", "did not answer 3 health probes in a row")
	eventually(t, func() error {
		if status := w.status("unlinks"); status.Restarts == 0 {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
	w.isUnharmed()
}

// A plugin that an administrator turned off stays so over a new start of the
// host, until it is enabled.
func TestStandingDecision(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	must(t, v.DisablePlugin(t.Context(), rootCaller(), "healthy"))
	w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, "healthy"), Timings: quick(), Vault: v})
	w.becomes("healthy", secrets.PluginDisabled)
	w.isRunning(0)
	must(t, v.EnablePlugin(t.Context(), rootCaller(), "healthy"))
	must(t, w.Enable("healthy"))
	w.isReady("healthy")
}
