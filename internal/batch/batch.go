// Package batch lets callers at once share work that costs as much for many as
// for one: what waits while one run is under way is done by the next one.
//
// There is no goroutine for it. Whoever finds the turn free, or is given it by who
// had it before, takes everything that waits with its own; who is alone waits for
// nobody.
package batch

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Max is how many items one run takes.
const Max = 256

// Group is the callers who share runs, one run at a time. It is safe for
// concurrent use.
type Group[T any] struct {
	run     func(ctx context.Context, items []T)
	crowded bool      // the last run had more than one item; used by whoever has the turn
	unused  sync.Pool // of *waiter[T] whose item was in a run; nothing is left to be said to them

	mu      sync.Mutex
	waiting []*waiter[T]
	busy    bool // somebody has the turn
}

type waiter[T any] struct {
	item  T
	woken chan struct{} // has room for the one word that there is to say
	leads bool          // it has the turn; else, when it is woken, its run has ended
}

// New returns a group. run gets at least one item, and a context that does not
// end when a caller's does. Should it panic, only the caller on whose goroutine it
// ran comes to know.
func New[T any](run func(ctx context.Context, items []T)) *Group[T] {
	return &Group[T]{run: run}
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
	w := g.waiter(item)
	if !g.join(w) {
		if err := g.wait(ctx, patience, w); err != nil {
			return err
		}
	}
	if w.leads {
		g.lead(ctx)
	}
	*w = waiter[T]{woken: w.woken} // who gave up does not come here: to them a word may have been said
	g.unused.Put(w)
	return nil
}

func (g *Group[T]) waiter(item T) *waiter[T] {
	if w, ok := g.unused.Get().(*waiter[T]); ok {
		w.item = item
		return w
	}
	return &waiter[T]{item: item, woken: make(chan struct{}, 1)}
}

// join makes an item wait, and reports whether it has the turn, because nobody
// else has.
func (g *Group[T]) join(w *waiter[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, w)
	w.leads = !g.busy
	g.busy = true
	return w.leads
}

// wait returns when the item was in a run, or has the turn. The error is why it is
// in no run.
func (g *Group[T]) wait(ctx context.Context, patience time.Duration, w *waiter[T]) error {
	var over <-chan time.Time
	if patience > 0 {
		over = time.After(patience)
	}
	gaveUp := context.DeadlineExceeded
	select {
	case <-w.woken:
		return nil
	case <-ctx.Done():
		gaveUp = ctx.Err()
	case <-over:
	}
	if g.leave(w) {
		return gaveUp
	}
	<-w.woken // its run has begun, and takes a bounded time
	return nil
}

// leave takes back an item that no run has, and its turn if it just got it.
func (g *Group[T]) leave(w *waiter[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, w)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	if w.leads {
		g.passOn()
	}
	return true
}

// lead runs what waits. It is called by who has the turn, whose item is the first.
func (g *Group[T]) lead(ctx context.Context) {
	if g.crowded {
		runtime.Gosched() // whoever is ready comes along
	}
	next := g.take()
	g.crowded = len(next) > 1
	defer g.end(next)
	items := make([]T, len(next))
	for i, w := range next {
		items[i] = w.item
	}
	g.run(context.WithoutCancel(ctx), items)
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

// end tells those whose run has ended, and gives the turn to somebody else.
func (g *Group[T]) end(run []*waiter[T]) {
	for _, w := range run[1:] { // the first one ran it
		w.woken <- struct{}{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passOn()
}

// passOn gives the turn to whoever waits the longest, if anybody does.
func (g *Group[T]) passOn() {
	if g.busy = len(g.waiting) > 0; !g.busy {
		return
	}
	first := g.waiting[0]
	first.leads = true
	first.woken <- struct{}{}
}

// Waiting is how many items wait for a run at this moment.
func (g *Group[T]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
