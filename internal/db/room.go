package db

import "time"

// longestPoll is how long SQLite sleeps at most before it looks at a lock again.
const longestPoll = 100 * time.Millisecond

// room is what a transaction that writes leaves to other processes before the next
// one begins.
//
// SQLite has no queue for its lock. Who waits for it looks again from time to time,
// and may find each time that a host which is asked without a pause has it again:
// on a slow disk for longer than the five seconds that Datasette waits, whose
// get_secret then answers with None. A fast disk leaves enough room by itself.
type room struct {
	held  time.Duration // by the last transaction
	ended time.Time     // that one
}

// leave waits until the file was free for a quarter of the time that it was held:
// who looks fifty times misses that once in 70,000 times. Without a write-ahead log a
// commit keeps out those who read as well, and it is as long as it was held.
func (r *room) leave(hasWAL bool) {
	gap := r.held
	if hasWAL {
		gap /= 4
	}
	time.Sleep(min(gap, longestPoll) - time.Since(r.ended))
}

// end is called at the end of a transaction that held the lock since began.
func (r *room) end(began time.Time) {
	r.ended = time.Now()
	r.held = r.ended.Sub(began)
}
