package db

import "time"

const (
	// longestPoll is how long SQLite sleeps at most before it looks at a lock
	// again.
	longestPoll = 100 * time.Millisecond
	// leastRoom is what is worth sleeping for.
	leastRoom = 2 * time.Millisecond
)

// room is the time that transactions which write owe to other processes.
//
// SQLite has no queue for its lock. Who waits for it looks again from time to time,
// and may find each time that a host which is asked without a pause has it again:
// on a slow disk for longer than the five seconds that Datasette waits, whose
// get_secret then answers with None. On a fast disk the pauses that come by
// themselves are long enough.
type room struct {
	owed  time.Duration
	ended time.Time // the last transaction
}

// leave waits for as long as the file has still to be free.
func (r *room) leave() {
	r.owed = max(0, r.owed-time.Since(r.ended))
	if r.owed >= leastRoom {
		time.Sleep(r.owed)
		r.owed = 0
	}
}

// end is called at the end of a transaction that held the lock since began. The file
// is to be free for a quarter of that: who looks fifty times misses it once in 70,000
// times. Without a write-ahead log a commit keeps out those who read as well, and it
// is to be free for as long as it was held.
func (r *room) end(began time.Time, hasWAL bool) {
	r.ended = time.Now()
	held := r.ended.Sub(began)
	if hasWAL {
		held /= 4
	}
	r.owed = min(r.owed+held, longestPoll)
}
