package host

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
)

// keySource gives the encryption keys that the configuration names by now, so
// that a host need not be restarted when they change. It reads them again only
// when one of the files that they come from is another than before.
type keySource struct {
	log *slog.Logger

	mu     sync.Mutex
	loaded *config.Config
	ring   *keyring.Keyring // as last read; nil while none is configured
	stamp  string           // of the files when they were read; empty before that
}

// current returns the keys: the same keyring as before unless they changed.
// What cannot be read changes nothing.
func (s *keySource) current() *keyring.Keyring {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp, ok := stampOf(s.loaded.Reads())
	if !ok || stamp == s.stamp {
		return s.ring
	}
	s.stamp = stamp // what is wrong is told once
	loaded, ring, err := reload(s.loaded)
	switch {
	case err != nil:
		s.log.Warn("the encryption keys were changed and cannot be read; the host goes on with those that it has", "error", err)
	case ring == nil && s.ring != nil:
		s.log.Warn("the configuration names no encryption key any more; the host goes on with those that it has")
	case ring.Equal(s.ring):
		s.loaded = loaded
		if ring != nil {
			ring.Wipe()
		}
	default:
		s.loaded, s.ring = loaded, ring
	}
	return s.ring
}

func reload(old *config.Config) (*config.Config, *keyring.Keyring, error) {
	loaded, err := old.Reload()
	if err != nil {
		return nil, nil, err
	}
	own, err := loaded.Secrets()
	if err != nil {
		return nil, nil, err
	}
	ring, err := keyring.Parse(own.EncryptionKey)
	return loaded, ring, err
}

// stampOf is a text that changes when a file does. It is not ok when one of
// them is no regular file: a pipe can be read only once.
func stampOf(paths []string) (stamp string, ok bool) {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%q is not there\n", path)
			continue
		}
		stat, known := info.Sys().(*syscall.Stat_t)
		if !known || !info.Mode().IsRegular() {
			return "", false
		}
		fmt.Fprintf(&b, "%q %d %d %d %d %d\n", path, stat.Dev, stat.Ino, stat.Size, stat.Mtim.Nano(), stat.Ctim.Nano())
	}
	return b.String(), true
}
