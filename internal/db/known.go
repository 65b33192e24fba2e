package db

// Bounds of the memory for what is known.
const (
	maxKnown      = 1024 // secrets
	maxKnownToken = 4096 // bytes of the token of one of them
)

// known is what transactions that write know of the file from those before them:
// they read or wrote it themselves, and nobody else has committed anything since.
// SQLite counts the commits of others; it is by the same count that SQLite goes on
// using pages that it has read.
//
// Whatever changes more than uses and entries of the log forgets all of it. Values
// are not among it, only tokens.
type known struct {
	conn    any   // the connection that counts; another one has a count of its own
	commits int64 // of others

	open     bool // a transaction has begun and is not committed
	changing bool // it has changed something
	newest   map[string]Current
	used     map[int64]lastUse
	end      logEnd
}

// lastUse is what the row of a secret tells of its last use.
type lastUse struct{ at, by string }

// begin is called at the start of a transaction.
func (k *known) begin(t *Tx) error {
	undone := k.open
	k.open, k.changing = true, false
	conn, commits, err := t.othersCommits()
	if undone || err != nil || conn != k.conn || commits != k.commits {
		k.forget()
	}
	k.conn, k.commits = conn, commits
	return err
}

// committed is called when all that the transaction did is done.
func (k *known) committed(end logEnd) { k.open, k.end = false, end }

// forget is called when things may have become different. How the log ended is
// kept: its newest entry tells whether that still holds.
func (k *known) forget() {
	clear(k.newest)
	clear(k.used)
	k.end.sure = false
}

// change is called before a statement that changes something.
func (k *known) change() {
	if !k.changing {
		k.changing = true
		k.forget()
	}
}

// learn keeps what Current has read.
func (k *known) learn(name string, c Current) {
	if k.changing || !c.Found || len(c.Row.Encrypted) > maxKnownToken {
		return
	}
	if k.newest == nil || len(k.newest) == maxKnown {
		k.newest = map[string]Current{}
	}
	k.newest[name] = c
}

// learnUse keeps what was written as the last use of a row.
func (k *known) learnUse(id int64, last lastUse) {
	if k.used == nil || len(k.used) == maxKnown {
		k.used = map[int64]lastUse{}
	}
	k.used[id] = last
}

// othersCommits returns a number that changes when another connection has
// committed something, and the connection that counts.
func (t *Tx) othersCommits() (conn any, n int64, err error) {
	err = t.queryRow("pragma data_version").Scan(&n)
	if err == nil {
		err = t.conn.Raw(func(c any) error {
			conn = c
			return nil
		})
	}
	return conn, n, classify("looking for changes of the database", err)
}
