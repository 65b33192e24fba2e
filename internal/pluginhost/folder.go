package pluginhost

import (
	"fmt"
	"path/filepath"

	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
)

// longestBelow is the longest path of a socket within the private folder:
// the folder of a launch, the folder that go-plugin makes and its socket. Each
// has up to ten digits after its name.
const longestBelow = len("/p0123456789/plugin-dir0123456789/plugin0123456789")

// makeRuntimeDir makes the host's private folder, in base if that is given.
func makeRuntimeDir(base string) (string, error) {
	dir, err := rundir.Make(base, longestBelow)
	if err != nil {
		return "", fmt.Errorf("making the private folder of the plugins: %w", err)
	}
	return dir, nil
}

// store is the folder for copies of plugins that cannot be in memory.
func (h *Host) store() string { return filepath.Join(h.runtime, "store") }
