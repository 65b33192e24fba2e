// Package rundir makes the private folders in which a running host keeps its
// unix sockets.
package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// maxSocketPath is how long the path of a unix socket may be on Linux.
const maxSocketPath = 107

// Make makes a folder that only this user can enter, in base if that is given.
// longest is the longest path of a socket below it, with the slash in front.
// Places that are swept of old files are the last choice: whoever answers on a
// socket is gone once it is removed.
func Make(base string, longest int) (string, error) {
	if base != "" {
		return makeIn(base, longest)
	}
	user := filepath.Join("/run/user", strconv.Itoa(os.Geteuid()))
	var failures error
	for _, base := range []string{user, "/run", os.TempDir(), "/tmp"} {
		dir, err := makeIn(base, longest)
		if err == nil {
			return dir, nil
		}
		failures = errors.Join(failures, err)
	}
	return "", failures
}

func makeIn(base string, longest int) (string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(base, "secrets-")
	if err != nil {
		return "", err
	}
	if n := len(dir) + longest; n > maxSocketPath {
		return "", errors.Join(os.Remove(dir),
			fmt.Errorf("the path of %s is too long for unix sockets by %d bytes", base, n-maxSocketPath))
	}
	return dir, nil
}
