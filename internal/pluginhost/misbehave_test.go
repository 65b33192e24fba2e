package pluginhost_test

import (
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// Plugins that never become ready, or do not stay so. Each is shown as failing
// with its reason, while its neighbour does not notice.
func TestFailingPlugins(t *testing.T) {
	t.Parallel()
	soon := func(set func(*pluginhost.Timings)) pluginhost.Timings {
		timings := quick()
		set(&timings)
		return timings
	}
	hasty := soon(func(t *pluginhost.Timings) { t.Handshake = 2 * time.Second })
	impatient := soon(func(t *pluginhost.Timings) { t.Call = 2 * time.Second })
	probing := soon(func(t *pluginhost.Timings) {
		t.Probe, t.ProbeCall = 50*time.Millisecond, time.Second
	})
	tests := []struct {
		mode    string
		timings pluginhost.Timings
		reason  string
	}{
		{"silent", hasty, "did not answer the handshake within 2s"},
		{"exits", quick(), "ended before the handshake (exit status 3)"},
		{"closes", quick(), "closed its standard output before the handshake"},
		{"garbage", quick(), "first line of its standard output is no handshake"},
		{"longline", quick(), "longer than 4096 bytes, which is no handshake"},
		{"badcert", quick(), "is not Base64 without padding"},
		{"tcp.1", quick(), "listens on a network"},
		{"netrpc", quick(), "does not speak gRPC"},
		{"elsewhere", quick(), "named an address outside its own folder"},
		{"dotted", quick(), "named an address outside its own folder"},
		{"nosocket", quick(), "named an address that is not a socket"},
		{"link", quick(), "named an address that is not a socket"},
		{"mute", impatient, "did not answer the connection within 2s"},
		{"leaves", quick(), "(exit status 0)"},
		{"hung", impatient, "did not answer RegisterSecrets within 2s"},
		{"stopearly", impatient, "did not answer RegisterSecrets within 2s"},
		{"stops", probing, "did not answer 3 health probes in a row"},
		{"forks", quick(), "(exit status 0)"},
		{"panics", quick(), "(exit status 2)"},
		{"huge", quick(), "answer to RegisterSecrets is too large; at most 4 MiB are allowed"},
		{"wordy", quick(), "answer to RegisterSecrets is too large; at most 4 MiB are allowed"},
		{"prolix", quick(), "its description has 5000 bytes"},
		{"many", quick(), "10000 secrets are declared, at most 1000 are allowed"},
		{"badname", quick(), "the name of declared secret 1 must be"},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			cfg := pluginhost.Config{Dir: pluginsDir(t, test.mode, "healthy"), Timings: test.timings}
			if strings.HasPrefix(test.mode, "stop") {
				// The first process of a namespace cannot be stopped from within.
				kernel := withoutNamespaces()
				cfg.Kernel = &kernel
			}
			w := startWith(t, cfg)
			w.failsWith(test.mode, test.reason)
			w.isUnharmed()
		})
	}
}

// Plugins that are a nuisance but work.
func TestOddPlugins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode  string
		check func(t *testing.T, w *world)
	}{
		{"hclog", func(t *testing.T, w *world) {
			if line := w.says("survived"); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "fields.count=3") {
				t.Errorf("the line is %s", line)
			}
			if line := w.says(`{\"a\":1}`); !strings.Contains(line, "plugin=hclog") || !strings.Contains(line, "fields.plugin=healthy") {
				t.Errorf("the line is %s", line)
			}
		}},
		{"chatty", func(t *testing.T, w *world) { w.says("all written") }},
		{"printer", func(t *testing.T, w *world) { w.says("msg=printed"); w.says("msg=complained") }},
		{"twice", func(t *testing.T, w *world) {
			if got := w.status("twice").Secrets; len(got) != 1 || got[0] != "TWICE" {
				t.Errorf("it declared %q", got)
			}
		}},
		{"stubborn", func(*testing.T, *world) {}},
		{"forkstays", func(t *testing.T, w *world) { w.says("child ") }},
		{"crowd", func(t *testing.T, w *world) {
			if line := w.says("crowd of "); !strings.Contains(line, "crowd of 15") && !strings.Contains(line, "crowd of 16") {
				t.Errorf("the line is %s", line)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			w := start(t, quick(), test.mode, "healthy")
			w.isReady(test.mode)
			test.check(t, w)
			if status := w.status(test.mode); status.State != secrets.PluginReady || status.Restarts != 0 {
				t.Errorf("it is %+v", status)
			}
			w.isUnharmed()
		})
	}
}

// A grandchild dies with the plugin, whether that ended by itself or was
// stopped, in namespaces of its own or without.
func TestGrandchildren(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"forks", "forkstays", "escapes"} {
		for _, kernel := range []sandbox.Kernel{thisKernel(), withoutNamespaces()} {
			t.Run(mode+" "+string(kernel.Namespaces), func(t *testing.T) {
				t.Parallel()
				w := startWith(t, pluginhost.Config{Dir: pluginsDir(t, mode), Timings: quick(), Kernel: &kernel})
				w.says(map[bool]string{true: "escapes tried", false: "child "}[mode == "escapes"])
				w.close() // looks for what is left
			})
		}
	}
}

func TestFlood(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "flood", "healthy")
	eventually(t, func() error {
		if dropped := w.status("flood").DroppedLog; dropped < 100_000 {
			return errorf("only %d lines are dropped", dropped)
		}
		return nil
	})
	w.isUnharmed()
	w.close()
	if lines := strings.Count(w.log.text(), "of no interest"); lines > 100*int(patience/time.Second) {
		t.Errorf("%d lines are in the log", lines)
	}
}
