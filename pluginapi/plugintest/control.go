package plugintest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

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
		f.values[name] = value
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

// Use is one use of a secret: a GetSecret that gave a value.
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

// Set gives a secret a value, as an administrator does.
func (h *Host) Set(name, value string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.values[name] = value
}

// Unset takes a secret's value away.
func (h *Host) Unset(name string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	delete(h.fake.values, name)
}

// Deny refuses a secret to an actor from now on.
func (h *Host) Deny(name, actorID string) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.denied[Use{name, actorID}] = true
}

// Fail makes every call to the host fail with err, one of the errors of package
// pluginapi. Fail(nil) ends that.
func (h *Host) Fail(err error) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.failure = err
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
