package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates allows each client so many requests a second in the long run, and two
// seconds' worth at once. There are only as many as there are clients.
type rates struct {
	rate float64
	now  func() time.Time

	mu       *sync.Mutex
	limiters map[string]*rate.Limiter
}

func newRates(perSecond float64, now func() time.Time) rates {
	return rates{rate: perSecond, now: now, mu: new(sync.Mutex), limiters: map[string]*rate.Limiter{}}
}

// take is an error when the client has to wait before it asks again.
func (r rates) take(client string) error {
	now := r.now()
	limiter := r.limiter(client)
	if limiter.AllowN(now, 1) {
		return nil
	}
	return &later{
		problem: problem{codeRateLimited, "this client asks too often"},
		wait:    time.Duration((1 - limiter.TokensAt(now)) / r.rate * float64(time.Second)),
	}
}

func (r rates) limiter(client string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limiters[client] == nil {
		r.limiters[client] = rate.NewLimiter(rate.Limit(r.rate), max(1, int(2*r.rate)))
	}
	return r.limiters[client]
}
