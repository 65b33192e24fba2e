package api

import (
	"sync"
	"time"
)

// rates allows each client so many requests a second in the long run, and two
// seconds' worth at once. There are only as many as there are clients.
type rates struct {
	rate float64
	now  func() time.Time

	mu      *sync.Mutex
	buckets map[string]*bucket
}

func newRates(rate float64, now func() time.Time) rates {
	return rates{rate: rate, now: now, mu: new(sync.Mutex), buckets: map[string]*bucket{}}
}

// take is an error when the client has to wait before it asks again.
func (r rates) take(client string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buckets[client]
	if b == nil {
		b = &bucket{tokens: 2 * r.rate, last: r.now()}
		r.buckets[client] = b
	}
	if b.take(r.now(), r.rate, 2*r.rate) {
		return nil
	}
	return &later{
		problem: problem{codeRateLimited, "this client asks too often"},
		wait:    time.Duration((1 - b.tokens) / r.rate * float64(time.Second)),
	}
}

// bucket is a token bucket, for one user at a time.
type bucket struct {
	tokens float64
	last   time.Time
}

// take tells whether one more event is allowed now, of rate a second in the
// long run and burst at once.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.tokens = min(burst, b.tokens+rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
