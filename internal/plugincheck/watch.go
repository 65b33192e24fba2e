package plugincheck

import (
	"context"
	"fmt"
	"time"
)

const (
	watchTime = 3 * time.Second  // for a plugin to begin to watch
	readTime  = 10 * time.Second // for it to read a value that changed
)

// checkWatch changes a value that the program has read. A program that watches
// and had a value at its start, but does not ask for the new one, goes on with
// the old one.
func checkWatch(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		soon, cancel := context.WithTimeout(ctx, k.limit(watchTime))
		defer cancel()
		if !l.host.await(soon, func() bool { return len(l.host.watchers) > 0 }) {
			return skipped("it does not watch its secrets")
		}
		var name string
		watchesWhatItRead := func() bool {
			name = l.host.watchedAndRead()
			return name != ""
		}
		if !l.host.await(soon, watchesWhatItRead) {
			return skipped("it watches, but read none of these secrets by itself")
		}
		l.host.change(name)
		patience := k.limit(readTime)
		later, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if !l.host.await(later, func() bool { return l.host.read[name] > 1 }) {
			return failed(fmt.Sprintf("it was told of a new value of %s, and did not read it within %s", clean(name, maxSample), patience),
				"read a value again when Watch says UPDATED, or keep none")
		}
		return passed()
	})
}

// watchedAndRead is the name of a secret that the program watches and has
// read, or empty. It must be called with the lock.
func (h *fakeHost) watchedAndRead() string {
	for name := range h.read {
		for _, names := range h.watchers {
			if wanted(names, name) {
				return name
			}
		}
	}
	return ""
}
