package pluginapi

import (
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// maxCached is how many values are kept at most.
const maxCached = 1000

// cache keeps values for as long as the host allows it, and only while the host
// tells of changes. Its zero value keeps nothing until it is enabled.
//
// What it keeps are copies of its own, as bytes, so that they can be wiped when
// they are forgotten. Of the Values that were handed out that cannot be said:
// their text belongs to the plugin.
type cache struct {
	mu      sync.Mutex
	enabled bool
	purges  uint64 // times that anything was forgotten because it may be outdated
	kept    map[cacheKey]*cached
}

// cacheKey is for whom a value was read. Another actor may be refused.
type cacheKey struct {
	name, actorID string
	proven        bool
}

type cached struct {
	text  []byte
	until time.Time
	end   *time.Timer
}

// get returns a value that is kept.
func (c *cache) get(key cacheKey) (Value, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.kept[key]
	if entry == nil || !time.Now().Before(entry.until) {
		return Value{}, false
	}
	return secrets.NewValue(string(entry.text)), true
}

// ticket says what was known of changes when a value was asked for.
type ticket struct {
	good   bool
	purges uint64
	at     time.Time
}

func (c *cache) ticket() ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ticket{good: c.enabled, purges: c.purges, at: time.Now()}
}

// put keeps a value for maxAge since it was asked for, unless something changed
// in the meantime: then the value may be the one before.
func (c *cache) put(key cacheKey, text []byte, maxAge time.Duration, t ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Until(t.at.Add(maxAge))
	if !t.good || !c.enabled || t.purges != c.purges || left <= 0 {
		return
	}
	if c.kept == nil {
		c.kept = map[cacheKey]*cached{}
	}
	c.forget(key)
	for any := range c.kept {
		if len(c.kept) < maxCached {
			break
		}
		c.forget(any)
	}
	entry := &cached{text: append([]byte(nil), text...), until: t.at.Add(maxAge)}
	entry.end = time.AfterFunc(left, func() { c.expire(key, entry) })
	c.kept[key] = entry
}

// expire forgets a value whose time is over, even if nobody asks for it.
func (c *cache) expire(key cacheKey, entry *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[key] == entry {
		c.forget(key)
	}
}

// forget wipes what is kept under a key, if anything is. c.mu is held.
func (c *cache) forget(key cacheKey) {
	entry := c.kept[key]
	if entry == nil {
		return
	}
	entry.end.Stop()
	clear(entry.text)
	delete(c.kept, key)
}

// purge forgets what a change is about.
func (c *cache) purge(change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purges++
	for key := range c.kept {
		if change.Name == "" || key.name == change.Name {
			c.forget(key)
		}
	}
}

// enable lets values be kept from now on.
func (c *cache) enable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enabled = true
}

// disable forgets everything, and keeps nothing until enable.
func (c *cache) disable() {
	c.mu.Lock()
	c.enabled = false
	c.mu.Unlock()
	c.purge(Change{Kind: Resync})
}
