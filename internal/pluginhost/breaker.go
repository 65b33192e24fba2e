package pluginhost

import (
	"slices"
	"time"
)

// maxCrashes is how many crashes within Timings.Breaker turn a plugin off.
const maxCrashes = 5

// breaker remembers the crashes of one plugin.
type breaker struct {
	crashes []time.Time // the latest ones
}

// crash notes a crash at that time. It tells whether there were too many
// within the window before it.
func (b *breaker) crash(at time.Time, window time.Duration) bool {
	b.crashes = slices.DeleteFunc(b.crashes, func(earlier time.Time) bool {
		return at.Sub(earlier) >= window
	})
	b.crashes = append(b.crashes, at)
	return len(b.crashes) >= maxCrashes
}
