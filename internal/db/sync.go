package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// What a power cut can take of changes that need not be on the disk at once.
const (
	MaxLag        = 100 * time.Millisecond
	MaxLagChanges = 1000
)

// syncing is what is known about changes that are not on the disk yet.
type syncing struct {
	mu      sync.Mutex
	lax     bool // how the connection that writes is set
	lagging int  // changes since the last time that everything was on the disk
	timer   *time.Timer
}

// mayLag reports whether a transaction need not wait for the disk: none of its
// changes has to, and there are not too many of these yet.
func (s *syncing) mayLag(changes []*change) bool {
	for _, c := range changes {
		if !c.lax {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lagging+len(changes) <= MaxLagChanges
}

// setSync sets the connection that writes. One that the pool had to open anew
// waits for the disk, which is never wrong. Only whoever has the turn calls it.
func (d *DB) setSync(ctx context.Context, lax bool) error {
	if d.sync.lax == lax {
		return nil
	}
	mode := "extra" // as connect sets it
	if lax {
		mode = "normal"
	}
	if _, err := d.write.ExecContext(ctx, "pragma synchronous = "+mode); err != nil {
		return classify("setting how the disk is waited for", err)
	}
	d.sync.lax = lax
	return nil
}

// committed notes a transaction. One that waited for the disk took with it what
// lagged behind; after another one, that is done in time.
func (s *syncing) committed(d *DB, lax bool, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !lax {
		s.lagging = 0
		return
	}
	s.lagging += changes
	if s.timer == nil {
		s.timer = time.AfterFunc(MaxLag/2, func() { s.again(d.path) })
	}
}

// again puts what lags behind on the disk, and tries that later if it fails.
// Meanwhile changes add up, until they wait for the disk and tell of it.
func (s *syncing) again(path string) {
	if s.now(path) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(time.Second, func() { s.again(path) })
}

// now puts what lags behind on the disk.
func (s *syncing) now(path string) error {
	s.mu.Lock()
	lagging := s.lagging
	s.timer = nil
	s.mu.Unlock()
	if lagging == 0 {
		return nil
	}
	if err := syncFile(path + "-wal"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lagging = max(0, s.lagging-lagging)
	return nil
}

// syncFile puts a file on the disk. Without one there is no write-ahead log, and
// nothing lags behind.
func syncFile(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("putting the write-ahead log on the disk: %w", err)
	}
	return nil
}
