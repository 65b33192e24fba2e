package vault

// Kept is how many changes of a plugin's secrets are kept.
func (v *Vault) Kept(plugin string) int {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	return len(v.hub.feeds[plugin].kept)
}

// NewHub is newHub for the tests.
var NewHub = newHub

// Cursor is cursor for the tests.
func (h *hub) Cursor(number int64) string { return h.cursor(number) }

// Parse is parse for the tests.
func (h *hub) Parse(cursor string) (int64, bool) { return h.parse(cursor) }
