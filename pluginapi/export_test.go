package pluginapi

import "time"

// Cache is cache for the tests.
type Cache struct{ cache }

// Key is cacheKey for the tests.
func Key(name, actorID string) cacheKey { return cacheKey{name: name, actorID: actorID} }

// Enable is enable for the tests.
func (c *Cache) Enable() { c.enable() }

// Disable is disable for the tests.
func (c *Cache) Disable() { c.disable() }

// Purge is purge for the tests.
func (c *Cache) Purge(change Change) { c.purge(change) }

// Ask begins a request; what it returns keeps the answer.
func (c *Cache) Ask(name, actorID string) (answer func(text string, maxAge time.Duration)) {
	t := c.ticket()
	return func(text string, maxAge time.Duration) { c.put(Key(name, actorID), []byte(text), maxAge, t) }
}

// Get is get for the tests.
func (c *Cache) Get(name, actorID string) (string, bool) {
	value, ok := c.get(Key(name, actorID))
	return value.Reveal(), ok
}

// Kept are the cache's own copies, which change when they are wiped.
func (c *Cache) Kept() (all [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range c.kept {
		all = append(all, entry.text)
	}
	return all
}
