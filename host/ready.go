package host

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

const (
	// silence is how long the database may not have answered until it counts as
	// gone. It is asked every followEvery.
	silence = 10 * time.Second
	// grudge is how long a failed write is remembered when there are no further
	// ones. A host that gets no work because it is not ready becomes ready again
	// after that.
	grudge = 10 * time.Second
)

// pulse is when the database last answered and last refused, in nanoseconds of
// Unix time; 0 is never. Whoever asks whether this host is ready only reads it:
// no stranger can keep the database busy.
type pulse struct {
	read, unread, unwritten atomic.Int64
}

// noteRead notes whether the database could be read.
func (p *pulse) noteRead(err error) {
	if err == nil {
		p.read.Store(time.Now().UnixNano())
		p.unread.Store(0)
		return
	}
	p.unread.Store(time.Now().UnixNano())
}

// noteWrite notes whether the database could be written.
func (p *pulse) noteWrite(err error) {
	if err == nil {
		p.unwritten.Store(0)
		return
	}
	p.unwritten.Store(time.Now().UnixNano())
}

// word says how the database does.
func (p *pulse) word() (word string, ok bool) {
	ago := func(note *atomic.Int64) time.Duration { return time.Since(time.Unix(0, note.Load())) }
	switch {
	case p.unread.Load() != 0, ago(&p.read) > silence:
		return "does not answer", false
	case ago(&p.unwritten) < grudge:
		return "cannot be written", false
	}
	return "ok", true
}

// readiness is what this host needs to do its work.
func (h *Host) readiness(context.Context) []ui.Check {
	database, ok := h.pulse.word()
	return []ui.Check{{Name: "database", OK: ok, Word: database}, h.keysCheck(), h.pluginsCheck()}
}

func (h *Host) keysCheck() ui.Check {
	switch {
	case h.door.Sealed():
		return ui.Check{Name: "keys", Word: "sealed"}
	case !h.door.Configured():
		return ui.Check{Name: "keys", Word: "not configured"}
	}
	return ui.Check{Name: "keys", OK: true, Word: "ok"}
}

// pluginsCheck is about their first start only: a plugin that fails later is no
// reason to take the host from those that do not.
func (h *Host) pluginsCheck() ui.Check {
	if h.plugins != nil && !h.plugins.Started() {
		return ui.Check{Name: "plugins", Word: "starting"}
	}
	return ui.Check{Name: "plugins", OK: true, Word: "ok"}
}
