package plugintest

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// MaxAge lets the plugin keep values for so long, in whole seconds, as an
// administrator can. Without it nothing is kept.
func MaxAge(d time.Duration) Option { return maxAge(d) }

type maxAge time.Duration

func (m maxAge) apply(f *fakeHost) { f.maxAge = time.Duration(m) }

// Resync tells the plugin's watches that changes may have been missed.
func (h *Host) Resync() {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.tell(&pluginpb.Change{Kind: pluginpb.Change_RESYNC})
}

// tell adds a change for all watches. f.mu is held.
func (f *fakeHost) tell(change *pluginpb.Change) {
	f.changes = append(f.changes, change)
	close(f.changed)
	f.changed = make(chan struct{})
}

// changesSince are those after the first n, and a channel that is closed when
// there are more.
func (f *fakeHost) changesSince(n int) ([]*pluginpb.Change, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes[n:], f.changed
}

// Watch implements pluginpb.SecretsServer.
func (f *fakeHost) Watch(r *pluginpb.WatchRequest, stream grpc.ServerStreamingServer[pluginpb.Change]) error {
	w, err := f.watch(r)
	if err != nil {
		return pluginwire.ToStatus(err)
	}
	if err := stream.Send(&pluginpb.Change{Kind: pluginpb.Change_OPENED, Cursor: strconv.Itoa(w.at)}); err != nil {
		return err
	}
	for {
		changes, more := f.changesSince(w.at)
		for _, change := range changes {
			w.at++
			if change.GetName() != "" && !w.names[change.GetName()] {
				continue
			}
			err := stream.Send(&pluginpb.Change{
				Kind: change.GetKind(), Name: change.GetName(), Version: change.GetVersion(), Cursor: strconv.Itoa(w.at),
			})
			if err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-w.broken:
			return pluginwire.ToStatus(secrets.ErrUnavailable)
		case <-stream.Context().Done():
			return pluginwire.ToStatus(stream.Context().Err())
		}
	}
}

// watch is one watch of the plugin.
type watch struct {
	at     int // how many changes it has seen
	names  map[string]bool
	broken <-chan struct{}
}

func (f *fakeHost) watch(r *pluginpb.WatchRequest) (watch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return watch{}, f.failure
	}
	w := watch{at: len(f.changes), names: map[string]bool{}, broken: f.broken}
	for _, name := range r.GetNames() {
		if !f.isDeclared(name) {
			return watch{}, secrets.ErrNotDeclared
		}
		w.names[name] = true
	}
	if len(r.GetNames()) == 0 {
		for _, d := range f.declared {
			w.names[d.Name] = true
		}
	}
	if r.GetCursor() == "" {
		return w, nil
	}
	at, err := strconv.Atoi(r.GetCursor())
	if err != nil || at < 0 || at > len(f.changes) {
		return watch{}, fmt.Errorf("%w: the cursor %q is none that was given", secrets.ErrInvalid, r.GetCursor())
	}
	w.at = at
	return w, nil
}
