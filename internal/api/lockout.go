package api

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxWrong     = 10 // tokens of one address, before it is locked out
	wrongWindow  = 10 * time.Minute
	firstLockout = time.Minute // doubles with every further one
	maxLockout   = time.Hour
	maxAddresses = 10_000 // that are remembered
)

// lockout slows down who guesses tokens, by address. A client that has been
// let in from an address stays so while the address is locked out, because
// somebody else behind the same proxy may be who guesses. That lets in only
// who has a token that is right.
type lockout struct {
	now func() time.Time

	mu    *sync.Mutex
	wrong map[netip.Addr]*guesses // by network
	known map[knownClient]bool    // let in before
}

type knownClient struct {
	address netip.Addr
	client  string
}

type guesses struct {
	count   int
	since   time.Time // of the first that counts
	until   time.Time // the address is locked out
	lockout time.Duration
}

func newLockout(now func() time.Time) lockout {
	return lockout{now: now, mu: new(sync.Mutex), wrong: map[netip.Addr]*guesses{}, known: map[knownClient]bool{}}
}

// network is what counts as one address: of IPv6, what one household has.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	prefix, _ := addr.Prefix(64) // an IPv6 address has that many bits
	return prefix.Addr()
}

// shown notes that a token was shown from an address, which was that of a client
// or wrong. It returns for how long it does not count because the address is
// locked out, perhaps by this one; 0 if it is not.
func (l lockout) shown(addr netip.Addr, client string, right bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	address := network(addr)
	known := right && l.known[knownClient{address, client}]
	if known {
		return 0
	}
	if wait := l.wait(address); wait > 0 {
		return wait
	}
	if !right {
		return l.guessed(address)
	}
	if len(l.known) >= maxAddresses {
		clear(l.known) // they are let in again at their next request, unless somebody guesses now
	}
	l.known[knownClient{address, client}] = true
	return 0
}

// wait is how long an address is locked out still; 0 if it is not.
func (l lockout) wait(address netip.Addr) time.Duration {
	if g := l.wrong[address]; g != nil {
		return max(0, g.until.Sub(l.now()))
	}
	return 0
}

// guessed notes a wrong token, and returns for how long the address is locked
// out by it; 0 if it is not.
func (l lockout) guessed(address netip.Addr) time.Duration {
	now := l.now()
	g := l.wrong[address]
	if g == nil {
		l.forget(now)
		g = &guesses{since: now}
		l.wrong[address] = g
	}
	if now.Sub(g.since) > wrongWindow && !now.Before(g.until) {
		g.count, g.since = 0, now
	}
	g.count++
	if g.count < maxWrong {
		return 0
	}
	g.lockout = min(maxLockout, max(firstLockout, 2*g.lockout))
	g.count, g.since, g.until = 0, now, now.Add(g.lockout)
	return g.lockout
}

// forget makes room for one more address: first of all by those that have been
// quiet for long, then by whoever is not locked out.
func (l lockout) forget(now time.Time) {
	if len(l.wrong) < maxAddresses {
		return
	}
	for address, g := range l.wrong {
		if now.Sub(g.since) > wrongWindow+maxLockout {
			delete(l.wrong, address)
		}
	}
	for address, g := range l.wrong {
		if len(l.wrong) < maxAddresses {
			return
		}
		if !now.Before(g.until) {
			delete(l.wrong, address)
		}
	}
	if len(l.wrong) >= maxAddresses {
		clear(l.wrong)
	}
}
