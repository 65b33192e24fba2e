package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

const (
	// lookEvery is how long it takes at most until a change is noticed that
	// another process made.
	lookEvery = 500 * time.Millisecond

	// maxKept is how many changes of one plugin's secrets are kept at least,
	// and half of what is kept at most, for those who read slowly or come
	// back. All its secrets may change at once, and its declarations too.
	maxKept = 2 * MaxDeclarations

	maxCursor = 64 // bytes
)

// hub compares what plugins were told of their secrets with what is so, and
// tells them the difference. Nobody has to say what changed: an act of this
// process, of another one on the same file, an approval and a sealed keyring
// are all found the same way.
//
// Each plugin has a feed of its own, so that what is told to one says nothing
// about the secrets of others, not even how often they change.
type hub struct {
	instance string        // in every cursor: another process counts anew
	hurry    chan struct{} // holds something when it is worth looking now
	looking  chan struct{} // full while somebody looks
	seen     int64         // db.Changes when somebody last looked; who looks may use it

	mu    sync.Mutex
	feeds map[string]*feed   // by plugin
	open  int                // watchers
	stop  context.CancelFunc // of the goroutine that looks while there are watchers
}

// feed is what one plugin was told.
type feed struct {
	heads    map[string]head // by secret, of those that the plugin may read; nil: nobody looked yet
	kept     []Change        // the newest changes, oldest first
	last     int64           // the number of the newest, counted from 1
	open     int             // watchers, and those that are about to be
	watchers map[*Watcher]bool
}

// head is where a secret stands.
type head struct {
	set     bool
	version int64 // the newest in the database, also if it is a tombstone
}

func newHub() *hub {
	instance := make([]byte, 8)
	rand.Read(instance) // never fails
	return &hub{
		instance: hex.EncodeToString(instance),
		hurry:    make(chan struct{}, 1),
		looking:  make(chan struct{}, 1),
		feeds:    map[string]*feed{},
	}
}

// cursor names the place after the change with that number.
func (h *hub) cursor(number int64) string { return h.instance + "." + strconv.FormatInt(number, 10) }

// parse is the opposite of cursor. It is not ok for what this hub did not make.
func (h *hub) parse(cursor string) (number int64, ok bool) {
	text, found := strings.CutPrefix(cursor, h.instance+".")
	number, err := strconv.ParseInt(text, 10, 64)
	return number, found && err == nil && cursor == h.cursor(number)
}

// admit makes room for one more watcher of a plugin. With the first of all, it
// has run called, until the last one is dismissed.
func (h *hub) admit(plugin string, names []string, run func(context.Context)) (*Watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[plugin]
	if f == nil {
		f = &feed{watchers: map[*Watcher]bool{}}
		h.feeds[plugin] = f
	}
	if f.open == maxWatchers {
		return nil, ErrTooManyWatchers
	}
	f.open++
	h.open++
	if h.open == 1 {
		var ctx context.Context
		ctx, h.stop = context.WithCancel(context.Background())
		go run(ctx)
	}
	w := &Watcher{hub: h, feed: f, wake: make(chan struct{}, 1), cut: make(chan struct{})}
	if len(names) > 0 {
		w.names = map[string]bool{}
		for _, name := range names {
			w.names[name] = true
		}
	}
	return w, nil
}

// dismiss gives the place of a watcher back.
func (h *hub) dismiss(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	delete(w.feed.watchers, w)
	w.feed.open--
	h.open--
	if h.open == 0 {
		h.stop()
	}
}

// tell adds what is different now to a feed. The first time there is nothing
// to compare with.
func (h *hub) tell(plugin string, now map[string]head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[plugin]
	before := f.heads
	f.heads = now
	if before == nil {
		return
	}
	names := maps.Clone(before)
	maps.Copy(names, now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch is, was := now[name], before[name]; {
		case is.set && is != was:
			f.add(Change{Kind: ChangeUpdated, Name: name, Version: is.version})
		case was.set && !is.set:
			f.add(Change{Kind: ChangeRevoked, Name: name, Version: is.version})
		}
	}
}

// add keeps a change, wakes the watchers and cuts those off that would miss
// one.
func (f *feed) add(c Change) {
	if len(f.kept) == 2*maxKept {
		f.kept = slices.Clone(f.kept[maxKept:])
	}
	f.kept = append(f.kept, c)
	f.last++
	for w := range f.watchers {
		if !f.holds(w.next - 1) {
			w.slow = true
			close(w.cut)
			delete(f.watchers, w)
		}
		signal(w.wake)
	}
}

// holds reports whether everything after the change with that number is kept.
func (f *feed) holds(number int64) bool {
	return number <= f.last && number >= f.last-int64(len(f.kept))
}

// at is the change with that number, which must be kept.
func (f *feed) at(number int64) Change {
	return f.kept[len(f.kept)-1-int(f.last-number)]
}

// plugins are those that have a feed.
func (h *hub) plugins() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.feeds))
}

// noteChange lets watchers know soon that an act changed something.
func (v *Vault) noteChange() { signal(v.hub.hurry) }

// follow looks again and again, until ctx ends. While the file cannot be read,
// it goes on trying.
func (v *Vault) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	failed := false
	for {
		whatever := failed
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-v.hub.hurry:
			whatever = true
		}
		failed = v.look(ctx, whatever) != nil
	}
}

// look tells every feed what is different from what it last was told. Unless
// it is to do so whatever the file says, it does nothing while nobody wrote to
// the file.
func (v *Vault) look(ctx context.Context, whatever bool) error {
	select {
	case v.hub.looking <- struct{}{}:
		defer func() { <-v.hub.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	changes, err := v.db.Changes(ctx)
	if err != nil || (changes == v.hub.seen && !whatever) {
		return err
	}
	now := map[string]map[string]head{}
	err = v.db.View(ctx, func(tx *db.Tx) error {
		for _, plugin := range v.hub.plugins() {
			if now[plugin], err = v.heads(tx, plugin); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.hub.seen = changes // from before reading: what came in between is read again
	for plugin, heads := range now {
		v.hub.tell(plugin, heads)
	}
	return nil
}

// heads is where the secrets stand that a plugin may read.
func (v *Vault) heads(tx *db.Tx, plugin string) (map[string]head, error) {
	all := map[string]head{}
	var stored []string
	for _, d := range v.declarations.Load().plugins[plugin] {
		if !v.MayHave(callerOf(plugin), d.Name) {
			continue
		}
		if _, ok := v.environment.Get(d.Name); ok {
			all[d.Name] = head{set: true}
			continue
		}
		stored = append(stored, d.Name)
	}
	heads, err := tx.Heads(stored)
	if err != nil {
		return nil, err
	}
	_, locked := v.ring()
	for name, h := range heads {
		all[name] = head{set: h.Version > 0 && !h.Deleted && locked == nil, version: h.Version}
	}
	return all, nil
}
