package pluginhost

import (
	"sync"
	"time"
)

const (
	circuitLate  = 3                // late answers in a row that open a circuit
	circuitPause = 30 * time.Second // how long it then stays open
)

// circuit keeps a hook that hangs from delaying every page. While it is open,
// the hook is not called; after a pause one call tries whether it is better.
type circuit struct {
	mu   sync.Mutex
	late int // in a row
	ends time.Time
}

// allows tells whether to call now.
func (c *circuit) allows(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late < circuitLate {
		return true
	}
	if now.Before(c.ends) {
		return false
	}
	c.ends = now.Add(circuitPause) // for everybody else, until the outcome is known
	return true
}

// note takes the outcome of a call, and tells whether it opened the circuit.
// An error is an answer in time: otherwise a request that makes a plugin fail
// would keep it from signing in others.
func (c *circuit) note(late bool, now time.Time) (opened bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !late {
		c.late = 0
		return false
	}
	c.late++
	c.ends = now.Add(circuitPause)
	return c.late == circuitLate
}
