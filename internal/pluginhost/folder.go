package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// maxSocketPath is how long the path of a unix socket may be on Linux.
const maxSocketPath = 107

// longestBelow is the longest path of a socket within the private folder:
// the folder of a launch, the folder that go-plugin makes and its socket. Each
// has up to ten digits after its name.
const longestBelow = len("/p0123456789/plugin-dir0123456789/plugin0123456789")

// makeRuntimeDir makes the host's private folder, in base if that is given.
// Places that are swept of old files are the last choice: a plugin is dead to
// its host once its socket is removed.
func makeRuntimeDir(base string) (string, error) {
	if base != "" {
		dir, err := makePrivate(base)
		if err != nil {
			return "", fmt.Errorf("making the private folder of the plugins: %w", err)
		}
		return dir, nil
	}
	user := filepath.Join("/run/user", strconv.Itoa(os.Geteuid()))
	var failures error
	for _, base := range []string{user, "/run", os.TempDir(), "/tmp"} {
		dir, err := makePrivate(base)
		if err == nil {
			return dir, nil
		}
		failures = errors.Join(failures, err)
	}
	return "", fmt.Errorf("making the private folder of the plugins: %w", failures)
}

func makePrivate(base string) (string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(base, "secrets-")
	if err != nil {
		return "", err
	}
	if longest := len(dir) + longestBelow; longest > maxSocketPath {
		return "", errors.Join(os.Remove(dir),
			fmt.Errorf("the path of %s is too long for unix sockets by %d bytes", base, longest-maxSocketPath))
	}
	return dir, nil
}

// store is the folder for copies of plugins that cannot be in memory.
func (h *Host) store() string { return filepath.Join(h.runtime, "store") }
