package pluginhost

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// Timings is how patient a host is. A zero field has its usual value, which
// is given here.
type Timings struct {
	FirstStart time.Duration // how long Start waits for all plugins: 5 s
	Handshake  time.Duration // from the launch to the handshake line: 5 s
	Call       time.Duration // one call to a plugin: 5 s
	Shutdown   time.Duration // for the answer to Shutdown: 1 s
	Terminate  time.Duration // between SIGTERM and SIGKILL: 500 ms
	Close      time.Duration // all plugins together, before what is left is killed: 3 s
	Probe      time.Duration // between two health probes: 10 s
	ProbeCall  time.Duration // one health probe: 2 s
	ProbeDial  time.Duration // between two health probes over a new connection: 60 s
	Backoff    time.Duration // before the first restart; doubled each time: 250 ms
	MaxBackoff time.Duration // the longest wait before a restart: 30 s
	Steady     time.Duration // ready for so long, and Backoff starts again: 60 s
	Look       time.Duration // between two looks at a plugin's file: 2 s
	Drain      time.Duration // for the calls of a launch that is replaced: 10 s
	Breaker    time.Duration // five crashes within it, and it is not started again: 10 min

	Menu         time.Duration // for links of a menu, before they are left out: 200 ms
	Actors       time.Duration // for the names of people, before ids are shown: 500 ms
	Authenticate time.Duration // for who sent a request, before it is nobody: 500 ms
	Page         time.Duration // one page of a plugin, to its last byte: 30 s
}

func (t Timings) withDefaults() Timings {
	return Timings{
		FirstStart: cmp.Or(t.FirstStart, 5*time.Second),
		Handshake:  cmp.Or(t.Handshake, 5*time.Second),
		Call:       cmp.Or(t.Call, pluginwire.CallTimeout),
		Shutdown:   cmp.Or(t.Shutdown, time.Second),
		Terminate:  cmp.Or(t.Terminate, 500*time.Millisecond),
		Close:      cmp.Or(t.Close, 3*time.Second),
		Probe:      cmp.Or(t.Probe, 10*time.Second),
		ProbeCall:  cmp.Or(t.ProbeCall, 2*time.Second),
		ProbeDial:  cmp.Or(t.ProbeDial, time.Minute),
		Backoff:    cmp.Or(t.Backoff, 250*time.Millisecond),
		MaxBackoff: cmp.Or(t.MaxBackoff, 30*time.Second),
		Steady:     cmp.Or(t.Steady, time.Minute),
		Look:       cmp.Or(t.Look, 2*time.Second),
		Drain:      cmp.Or(t.Drain, 10*time.Second),
		Breaker:    cmp.Or(t.Breaker, 10*time.Minute),

		Menu:         cmp.Or(t.Menu, 200*time.Millisecond),
		Actors:       cmp.Or(t.Actors, 500*time.Millisecond),
		Authenticate: cmp.Or(t.Authenticate, 500*time.Millisecond),
		Page:         cmp.Or(t.Page, 30*time.Second),
	}
}

// backoff is the wait before the next start, after so many failures in a row:
// between half and the whole of a time that doubles, so that plugins which
// failed together are not all started again together.
func (t Timings) backoff(failures int) time.Duration {
	wait := t.MaxBackoff
	if failures < 16 { // beyond that the shift says nothing more
		wait = min(wait, t.Backoff<<failures)
	}
	return wait/2 + rand.N(wait/2+1)
}
