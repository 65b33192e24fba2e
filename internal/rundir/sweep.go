package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// sweep removes the folders of this user in base whose owners are dead. What
// cannot be removed is left: it is in nobody's way.
func sweep(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(base, entry.Name())
		if !strings.HasPrefix(entry.Name(), prefix) || !ours(path) {
			continue
		}
		lock, err := claim(path, 0)
		if err != nil {
			continue
		}
		_ = RemoveAll(path)
		_ = lock.Close() // only now, so that nobody else begins to sweep it
	}
}

// ours tells whether path is a folder that this user made for itself alone.
func ours(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeDir|0o700 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
