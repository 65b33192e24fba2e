package pluginhost

import "path/filepath"

// longestBelow is the longest path of a socket within the private folder:
// the folder of a launch, the folder that go-plugin makes and its socket. Each
// has up to ten digits after its name.
const longestBelow = len("/p0123456789/plugin-dir0123456789/plugin0123456789")

// store is the folder for copies of plugins that cannot be in memory.
func (h *Host) store() string { return filepath.Join(h.runtime.Path, "store") }
