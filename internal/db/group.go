package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// change is one caller's part of a transaction.
type change struct {
	fn  func(*Tx) error
	lax bool // need not be on the disk when it is done
	err error
	// panicked is what fn panicked with, on the goroutine of another caller.
	panicked any
}

// Update runs fn in a transaction that holds the write lock from its start, and
// returns when that is on the disk. If fn returns an error, nothing that it did
// is kept. fn may run on another goroutine, and shares its transaction with
// others, of which it sees what came before.
//
// When ctx ends before fn began, nothing is done. Once it began, ctx does not
// interrupt it: that would undo the work of the others too.
func (d *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return d.update(ctx, &change{fn: fn})
}

// UpdateLax is Update that does not wait for the disk: a power cut takes what
// was done in the last [MaxLag], a crash of this process takes nothing. Where
// the file has no write-ahead log it is Update.
func (d *DB) UpdateLax(ctx context.Context, fn func(*Tx) error) error {
	return d.update(ctx, &change{fn: fn, lax: d.hasWAL})
}

// update hands a change to the group of writers: those that wait while one
// transaction is synced share the next one.
func (d *DB) update(ctx context.Context, c *change) error {
	if err := d.group.DoWithin(ctx, maxWait, c); err != nil {
		return classify("waiting for the other writers", err)
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// commit runs changes in one transaction and tells each what became of it.
func (d *DB) commit(ctx context.Context, changes []*change) {
	d.room.leave()
	began := time.Now()
	err := d.runAll(ctx, changes)
	if d.told != nil {
		d.told(len(changes), time.Since(began), err)
	}
	for _, c := range changes {
		if c.err == nil {
			c.err = err
		}
	}
}

// runAll returns an error only if no change was kept.
func (d *DB) runAll(ctx context.Context, changes []*change) error {
	until := time.Now().Add(maxWait)
	lax := d.sync.mayLag(changes)
	if err := d.setSync(ctx, lax); err != nil {
		return err
	}
	conn, err := begin(ctx, d.write, "begin immediate")
	if err != nil {
		return classify("beginning a transaction", err)
	}
	defer d.room.end(time.Now(), d.hasWAL)
	defer end(conn)
	defer d.tail.empty()
	t := &Tx{ctx: ctx, conn: conn, until: until, now: d.now().UTC(), tail: &d.tail, known: &d.known}
	if err := d.known.begin(t); err != nil {
		return err
	}
	if len(changes) == 1 {
		t.protected = true
		if changes[0].run(t); changes[0].failed() {
			return nil
		}
	} else if err := t.share(changes); err != nil {
		return err
	}
	grown, err := t.finish(d.known.end)
	if err != nil {
		return err
	}
	if err := t.commit(); err != nil {
		return classify("committing a transaction", err)
	}
	d.known.committed(grown)
	d.sync.committed(d, lax, len(changes))
	return nil
}

// share runs several changes so that the failure of one undoes nothing but its
// own work. The error is one that ended the whole transaction.
func (t *Tx) share(changes []*change) error {
	for _, c := range changes {
		entries, uses := t.tail.mark()
		t.protected = false
		if c.run(t); c.failed() {
			t.tail.cut(entries, uses)
		}
		if err := t.settle(c); err != nil {
			return err
		}
	}
	t.protected = true // nothing is undone any more but everything
	return nil
}

// protect is called before every statement that writes, except for those of the
// log's tail. It begins the savepoint of a change that shares its transaction. Most
// changes only record what they read, and need none.
func (t *Tx) protect() error {
	if t.known != nil { // else SQLite refuses to write
		t.known.change()
	}
	if t.protected {
		return nil
	}
	t.protected = true
	return t.run("savepoint change")
}

// settle ends the savepoint of a change, if it has one.
func (t *Tx) settle(c *change) error {
	if !t.protected {
		return nil
	}
	if c.failed() {
		if err := t.run("rollback to change"); err != nil {
			return fmt.Errorf("%w: %w", secrets.ErrUnavailable, errors.Join(c.err, err))
		}
	}
	return t.run("release change")
}

func (c *change) run(t *Tx) {
	defer func() { c.panicked = recover() }()
	c.err = c.fn(t)
}

func (c *change) failed() bool { return c.err != nil || c.panicked != nil }
