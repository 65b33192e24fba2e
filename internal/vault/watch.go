package vault

import (
	"context"
	"fmt"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// maxWatchers is how many watchers one plugin may have at a time.
const maxWatchers = 16

// The ends of a watcher that are its plugin's own doing.
var (
	// ErrTooSlow: the watcher did not keep up with the changes.
	ErrTooSlow = fmt.Errorf("%w: changes come faster than they are read; open a new watch", secrets.ErrUnavailable)

	// ErrTooManyWatchers: the plugin has too many watchers already.
	ErrTooManyWatchers = fmt.Errorf("%w: too many watches are open at once; close one first", secrets.ErrUnavailable)
)

// ChangeKind is what a Change says.
type ChangeKind string

// The kinds of change.
const (
	ChangeOpened  ChangeKind = "opened"  // the first of every watcher; it names no secret
	ChangeUpdated ChangeKind = "updated" // there is a new value
	ChangeRevoked ChangeKind = "revoked" // there is no value any more, or none for this plugin
	ChangeResync  ChangeKind = "resync"  // changes may have been missed; it names no secret
)

// Change says that something about a secret is different. It never holds a
// value.
type Change struct {
	Kind    ChangeKind
	Name    string
	Version int64  // the newest in the database; 0 when there is none
	Cursor  string // from where to go on
}

// Watcher tells one plugin of the changes of its secrets. It is for one
// goroutine, and must be closed.
type Watcher struct {
	hub   *hub
	feed  *feed
	names map[string]bool // nil for all
	wake  chan struct{}   // holds something when there may be more to read
	cut   chan struct{}   // closed when the watcher is too slow

	// What follows is guarded by hub.mu.
	first  []Change // told before all others
	next   int64    // the number of the change to look at next
	slow   bool     // cut is closed
	closed bool
}

// Watch tells of changes of secrets from now on or, with the cursor of a
// Change, from that one on. No names stand for all that the calling plugin
// declared. Only those are told of that it may read at the time.
//
// Changes of one secret that follow one another quickly may be told as one. If
// it is not certain that all of them since the cursor are known, the watcher
// begins with a ChangeResync.
//
// The errors are ErrDenied, ErrNotDeclared, ErrInvalid, ErrTooManyWatchers and
// ErrUnavailable.
func (v *Vault) Watch(ctx context.Context, caller secrets.Caller, names []string, cursor string) (*Watcher, error) {
	holder := holderOf(caller)
	if holder == "" {
		return nil, fmt.Errorf("%w: only plugins and clients watch", secrets.ErrDenied)
	}
	if len(names) > MaxDeclarations {
		return nil, fmt.Errorf("%w: %d names are to be watched, at most %d are allowed", secrets.ErrInvalid, len(names), MaxDeclarations)
	}
	if len(cursor) > maxCursor {
		return nil, fmt.Errorf("%w: the cursor has %d bytes, at most %d are allowed", secrets.ErrInvalid, len(cursor), maxCursor)
	}
	declared := v.declarations.Load()
	for _, name := range names {
		if !declared.declaredBy(holder, name) {
			return nil, secrets.ErrNotDeclared
		}
	}
	w, err := v.hub.admit(holder, names, v.follow)
	if err != nil {
		return nil, err
	}
	if err := v.look(ctx, w.isFirst()); err != nil {
		w.Close()
		return nil, err
	}
	w.begin(cursor)
	return w, nil
}

// Next waits for a change. It returns ErrTooSlow, or the error of ctx.
func (w *Watcher) Next(ctx context.Context) (Change, error) {
	for {
		change, found, err := w.take()
		if found || err != nil {
			return change, err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return Change{}, ctx.Err()
		}
	}
}

// Cut is closed when the watcher is too slow, for whoever is not in Next.
func (w *Watcher) Cut() <-chan struct{} { return w.cut }

// Close ends the watcher. It may be called more than once.
func (w *Watcher) Close() { w.hub.dismiss(w) }

// take returns the next change that is of interest, if there is one.
func (w *Watcher) take() (change Change, found bool, err error) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.slow {
		return Change{}, false, ErrTooSlow
	}
	if len(w.first) > 0 {
		change, w.first = w.first[0], w.first[1:]
		return change, true, nil
	}
	for w.next <= w.feed.last {
		at := w.next
		w.next++
		if change := w.feed.at(at); w.names == nil || w.names[change.Name] {
			change.Cursor = w.hub.cursor(at)
			return change, true, nil
		}
	}
	return Change{}, false, nil
}

// isFirst reports whether nothing is known yet of the plugin's secrets.
func (w *Watcher) isFirst() bool {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	return w.feed.heads == nil
}

// begin says where the watcher starts. An opened change carries the place that
// was asked for, so that a plugin which sees no more than that has lost
// nothing.
func (w *Watcher) begin(cursor string) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	here := w.hub.cursor(w.feed.last)
	w.next = w.feed.last + 1
	if cursor == "" {
		cursor = here
	}
	w.first = []Change{{Kind: ChangeOpened, Cursor: cursor}}
	if at, ok := w.hub.parse(cursor); ok && w.feed.holds(at) {
		w.next = at + 1
	} else {
		w.first = append(w.first, Change{Kind: ChangeResync, Cursor: here})
	}
	w.feed.watchers[w] = true
}

// signal wakes Next.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // it is awake
	}
}
