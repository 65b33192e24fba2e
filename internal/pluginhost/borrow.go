package pluginhost

import (
	"context"
	"sync"
	"time"
)

// borrow returns the launch that serves, to call it. It never waits, and
// returns nil if no launch is ready. The launch is not asked to stop before
// giveBack was called, or Timings.Drain has passed.
func (s *supervised) borrow() (l *launch, giveBack func()) {
	for {
		l := s.serving.Load()
		if l == nil {
			return nil, nil
		}
		if l.users.enter() {
			return l, sync.OnceFunc(l.users.leave)
		}
		// It was replaced in between, and so was what serving holds.
	}
}

// users counts who uses a launch, so that it is not stopped under them.
type users struct {
	mu    sync.Mutex
	count int
	idle  chan struct{} // made by close; closed when nobody is left
}

// enter counts one more user; it fails once the launch is to stop.
func (u *users) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.idle != nil {
		return false
	}
	u.count++
	return true
}

func (u *users) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count--
	if u.count == 0 && u.idle != nil {
		close(u.idle)
	}
}

// drain lets nobody in any more and waits for those who are, at most as long as
// limit and ctx allow. It is called once, after serving holds another launch.
func (u *users) drain(ctx context.Context, limit time.Duration) {
	u.mu.Lock()
	idle := make(chan struct{})
	u.idle = idle
	if u.count == 0 {
		close(idle)
	}
	u.mu.Unlock()
	ended(ctx, idle, limit)
}
