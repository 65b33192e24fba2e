package plugintest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// Option says how the host is before the plugin starts.
type Option interface {
	apply(*fakeHost)
}

// Secrets are the values that are set when the plugin starts, by name. A name
// that the plugin does not declare stays out of its reach.
type Secrets map[string]string

func (s Secrets) apply(f *fakeHost) {
	for name, value := range s {
		f.values[name], f.versions[name] = value, 1
	}
}

// Config is the plugin's block of the host's configuration: anything that
// encoding/json encodes. It panics if that fails.
func Config(block any) Option {
	data, err := json.Marshal(block)
	if err != nil {
		panic(fmt.Sprintf("plugintest: encoding the configuration: %v", err))
	}
	return config(data)
}

type config []byte

func (c config) apply(f *fakeHost) { f.config = c }

// Failing makes every call to the host fail from the start, as [Host.Fail] does.
func Failing(err error) Option { return failing{err} }

type failing struct{ err error }

func (o failing) apply(f *fakeHost) { f.failure = o.err }

// Use is one use of a secret: a GetSecret or GetSecrets that gave a value. A
// value that the plugin kept, see MaxAge, is used without the host's knowing.
type Use struct {
	Name    string
	ActorID string
}

// Declared returns what the plugin declared, in its order.
func (h *Host) Declared() []pluginapi.Secret {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	return slices.Clone(h.fake.declared)
}

// Uses returns every use of a secret so far.
func (h *Host) Uses() []Use {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	return slices.Clone(h.fake.uses)
}

// Set gives a secret a value, as an administrator does, and tells watches.
func (h *Host) Set(name, value string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.values[name] = value
	h.fake.versions[name]++
	h.fake.tell(&pluginpb.Change{Kind: pluginpb.Change_UPDATED, Name: name, Version: h.fake.versions[name]})
}

// Unset takes a secret's value away, and tells watches.
func (h *Host) Unset(name string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	if _, set := h.fake.values[name]; !set {
		return
	}
	delete(h.fake.values, name)
	h.fake.versions[name]++
	h.fake.tell(&pluginpb.Change{Kind: pluginpb.Change_REVOKED, Name: name, Version: h.fake.versions[name]})
}

// Deny refuses a secret to an actor from now on. Watches are told to Resync:
// what was kept for that actor is to be asked for again.
func (h *Host) Deny(name, actorID string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.denied[Use{name, actorID}] = true
	h.fake.tell(&pluginpb.Change{Kind: pluginpb.Change_RESYNC})
}

// Fail makes every call to the host fail with err, one of the errors of package
// pluginapi, and breaks every watch. Fail(nil) ends that.
func (h *Host) Fail(err error) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.failure = err
	if err != nil {
		close(h.fake.broken)
		h.fake.broken = make(chan struct{})
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
