package db

import "time"

const (
	// longestPoll is how long SQLite sleeps at most before it looks at a lock
	// again.
	longestPoll = 100 * time.Millisecond
	// companyLeaves is how long after its last commit another process counts as
	// being there.
	companyLeaves = time.Hour
)

// room is what a transaction that writes leaves to other processes before the next
// one begins.
//
// SQLite has no queue for its lock. Who waits for it looks again from time to time,
// and may find each time that a host which is asked without a pause has it again:
// on a slow disk for longer than the five seconds that Datasette waits. So the file
// is free for as long as it was held, and for an eighth of that while nobody else
// seems to be there; most of the time it is anyway.
type room struct {
	company time.Time     // when a commit of another process was last noticed
	held    time.Duration // by the last transaction
	ended   time.Time     // that one
}

// leave waits until there was room. Without a write-ahead log, a commit keeps out
// those who read as well, and they go unnoticed.
func (r *room) leave(hasWAL bool) {
	gap := r.held
	if hasWAL && time.Since(r.company) > companyLeaves {
		gap /= 8
	}
	time.Sleep(min(gap, longestPoll) - time.Since(r.ended))
}

// end is called at the end of a transaction that held the lock since began.
func (r *room) end(began time.Time) {
	r.ended = time.Now()
	r.held = r.ended.Sub(began)
}
