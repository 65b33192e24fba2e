// Package rundir makes the private folders in which a running host keeps its
// unix sockets, and removes those that a killed host left behind.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSocketPath is how long the path of a unix socket may be on Linux.
const maxSocketPath = 107

// prefix is how the name of every folder begins.
const prefix = "secrets-"

// attempts is how often a folder is made anew when somebody sweeps it away.
const attempts = 10

// Dir is a folder that only this user can enter. As long as the process lives
// that made it, nobody sweeps it.
type Dir struct {
	Path string
	lock *os.File
}

// Make makes a folder, in base if that is given, and first removes those there
// whose processes are dead. longest is the longest path of a socket below it,
// with the slash in front. Places that are swept of old files are the last
// choice: whoever answers on a socket is gone once it is removed.
func Make(base string, longest int) (*Dir, error) {
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
	return nil, failures
}

func makeIn(base string, longest int) (*Dir, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	sweep(base)
	for range attempts {
		path, err := os.MkdirTemp(base, prefix)
		if err != nil {
			return nil, err
		}
		if n := len(path) + longest; n > maxSocketPath {
			return nil, errors.Join(os.Remove(path),
				fmt.Errorf("the path of %s is too long for unix sockets by %d bytes", base, n-maxSocketPath))
		}
		lock, err := claim(path, os.O_CREATE)
		if err == nil {
			return &Dir{Path: path, lock: lock}, nil
		}
		if !errors.Is(err, errHeld) && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, RemoveAll(path))
		}
		// Somebody swept it away before it was locked.
	}
	return nil, errors.New("the folder is swept away again and again")
}

// Remove removes the folder and all that is in it.
func (d *Dir) Remove() error {
	return errors.Join(RemoveAll(d.Path), d.lock.Close())
}

// RemoveAll removes a folder and all that is in it, also what a plugin did not want to be removed:
// folders of this user that even this user may not enter.
func RemoveAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// errHeld: the process that made the folder lives.
var errHeld = errors.New("its owner lives")

// claim takes the lock of a folder, which ends with the process.
func claim(path string, flags int) (*os.File, error) {
	name := filepath.Join(path, "datasette-secrets.lock")
	file, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errHeld
		}
		return nil, errors.Join(err, file.Close())
	}
	there, err := os.Lstat(name)
	ours, err2 := file.Stat()
	if err := errors.Join(err, err2); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if !os.SameFile(there, ours) {
		return nil, errors.Join(errHeld, file.Close())
	}
	return file, nil
}
