// Package batch lets callers at once share work that costs as much for many as
// for one: what waits while one run is under way is done by the next one.
//
// There is no goroutine for it. Whoever finds a turn free takes everything that
// waits with its own; who is alone waits for nobody.
package batch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Max is how many items one run takes.
const Max = 256

// Group is the callers who share runs. It is safe for concurrent use.
type Group[T any] struct {
	turns chan struct{} // holds a token for every run under way
	run   func(ctx context.Context, items []T)

	mu      sync.Mutex
	waiting []*waiter[T]

	crowded atomic.Bool // the last run had more than one item
}

type waiter[T any] struct {
	item T
	done chan struct{} // closed when the run that took it has ended
}

// New returns a group with at most so many runs at once. run gets at least one
// item, and a context that does not end when a caller's does. Should it panic, only the
// caller on whose goroutine it ran comes to know.
func New[T any](runs int, run func(ctx context.Context, items []T)) *Group[T] {
	return &Group[T]{turns: make(chan struct{}, runs), run: run}
}

// Do returns when a run has ended that took the item, perhaps on the goroutine
// of another caller. Every such run begins after Do was called. When ctx ends
// before that, the item is in no run and the error is that of ctx.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	return g.DoWithin(ctx, 0, item)
}

// DoWithin is Do that waits no longer than patience for a run to begin, and
// returns context.DeadlineExceeded then. 0 is patience without end. A timer that
// nobody waits for is spared.
func (g *Group[T]) DoWithin(ctx context.Context, patience time.Duration, item T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter[T]{item: item, done: make(chan struct{})}
	g.add(w)
	var over <-chan time.Time
	for {
		select {
		case <-w.done:
			return nil
		default:
		}
		select {
		case g.turns <- struct{}{}:
			g.runNext(ctx)
			continue
		default:
		}
		if over == nil && patience > 0 {
			over = time.After(patience)
		}
		gaveUp := context.DeadlineExceeded
		select {
		case <-w.done:
			continue
		case g.turns <- struct{}{}:
			g.runNext(ctx)
			continue
		case <-ctx.Done():
			gaveUp = ctx.Err()
		case <-over:
		}
		if g.remove(w) {
			return gaveUp
		}
		<-w.done // its run has begun, and takes a bounded time
	}
}

// runNext runs what is next, unless somebody else took it meanwhile, and gives
// the turn back.
func (g *Group[T]) runNext(ctx context.Context) {
	defer func() { <-g.turns }()
	if g.crowded.Load() {
		runtime.Gosched() // whoever is ready comes along
	}
	next := g.take()
	if len(next) == 0 {
		return
	}
	items := make([]T, len(next))
	for i, w := range next {
		items[i] = w.item
	}
	g.crowded.Store(len(items) > 1)
	defer func() {
		for _, w := range next {
			close(w.done)
		}
	}()
	g.run(context.WithoutCancel(ctx), items)
}

func (g *Group[T]) add(w *waiter[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, w)
}

// take removes the items that are next.
func (g *Group[T]) take() []*waiter[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), Max)
	next := g.waiting[:n:n]
	g.waiting = append([]*waiter[T](nil), g.waiting[n:]...)
	return next
}

// remove takes back an item that no run has.
func (g *Group[T]) remove(w *waiter[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.waiting {
		if other == w {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// Waiting is how many items wait for a run at this moment.
func (g *Group[T]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
