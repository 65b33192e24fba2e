package pluginapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// ChangeKind is what a [Change] says.
type ChangeKind string

// The kinds of change.
const (
	// Opened is the first of every [Host.Watch]: from here on, changes are
	// told. Values that are read now are up to date.
	Opened ChangeKind = "opened"

	// Updated: the secret has a new value.
	Updated ChangeKind = "updated"

	// Revoked: the secret has no value any more, or the plugin may not read it.
	Revoked ChangeKind = "revoked"

	// Resync: changes may have been missed. Whatever is kept of any secret is
	// to be read again.
	Resync ChangeKind = "resync"
)

// Change says that something about a secret is different. It never holds a
// value.
type Change struct {
	Kind    ChangeKind
	Name    string // of the secret; empty for Opened and Resync
	Version uint64 // the newest in the host's database; 0 when there is none
}

const (
	firstPause   = 250 * time.Millisecond // before a watch that broke is opened again; doubled each time
	longestPause = 10 * time.Second
)

// Watch implements Host.
func (h *hostClient) Watch(ctx context.Context, names ...string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		began := false
		err := h.watch(ctx, names, watcher{
			told: func(change Change) (more bool) {
				h.cache.purge(change) // before the author asks for the new value
				if change.Kind == Opened && began {
					return true
				}
				began = true
				return yield(change, nil)
			},
			broke: func() {},
		})
		if err != nil {
			yield(Change{}, err)
		}
	}
}

// watcher is told what a watch comes to know.
type watcher struct {
	told  func(Change) (more bool)
	broke func() // no changes arrive until the next Opened
}

// watch tells w of changes until ctx ends, w wants no more, or the host says
// that it will never tell, which is the error. When the connection breaks it
// goes on where it was.
func (h *hostClient) watch(ctx context.Context, names []string, w watcher) error {
	cursor, failures := "", 0
	for ctx.Err() == nil {
		err := h.watchOnce(ctx, names, &cursor, func(change Change) bool {
			failures = 0
			return w.told(change)
		})
		w.broke()
		if err == nil || ctx.Err() != nil || status.Code(err) == codes.Canceled { // the connection was closed for good
			return nil
		}
		if isFinal(err) {
			return fmt.Errorf("watching secrets: %w", pluginwire.FromStatus(err))
		}
		if failures == 1 { // the first is nothing unusual
			h.logger.Warn("a watch broke, and is tried again", "error", pluginwire.FromStatus(err))
		}
		pause(ctx, failures)
		failures++
	}
	return nil
}

// watchOnce is one call of Watch. It returns nil when told wants no more.
func (h *hostClient) watchOnce(ctx context.Context, names []string, cursor *string, told func(Change) bool) error {
	ctx, cancel := context.WithCancel(ctx) // ends the call in any case
	defer cancel()
	stream, err := h.secrets.Watch(ctx, &pluginpb.WatchRequest{Names: names, Cursor: *cursor})
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		*cursor = message.GetCursor()
		if !told(changeFromProto(message)) {
			return nil
		}
	}
}

// isFinal tells whether the host will always answer in the same way.
func isFinal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unimplemented:
		return true
	}
	return false
}

// pause waits before the watch is opened again, after so many failures in a
// row. Half of it is left to chance, so that not all plugins come back at once.
func pause(ctx context.Context, failures int) {
	wait := longestPause
	if failures < 16 { // beyond that the shift says nothing more
		wait = min(wait, firstPause<<failures)
	}
	timer := time.NewTimer(wait/2 + rand.N(wait/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func changeFromProto(message *pluginpb.Change) Change {
	switch message.GetKind() {
	case pluginpb.Change_OPENED:
		return Change{Kind: Opened}
	case pluginpb.Change_UPDATED:
		return Change{Kind: Updated, Name: message.GetName(), Version: message.GetVersion()}
	case pluginpb.Change_REVOKED:
		return Change{Kind: Revoked, Name: message.GetName(), Version: message.GetVersion()}
	}
	return Change{Kind: Resync} // also for what a newer host may say
}

// keepCacheFresh lets the cache know of every change for as long as the plugin
// lives.
func (h *hostClient) keepCacheFresh(lifetime context.Context) {
	err := h.watch(lifetime, nil, watcher{
		told: func(change Change) bool {
			h.cache.purge(change)
			if change.Kind == Opened {
				h.cache.enable()
			}
			return true
		},
		broke: h.cache.disable,
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		h.logger.Warn("the host does not tell of changes, so no value is kept", "error", err)
	}
}
