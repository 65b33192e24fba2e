// Package httpconn makes the connections of an HTTP server cheaper where many
// short requests follow one another on each.
//
// # Why
//
// For every request net/http sets four deadlines, and starts a goroutine that
// reads one byte, to notice a client that hangs up while the handler runs; after
// the handler it ends that read by two deadlines more. Each of them is a timer of
// the runtime, and the read is a system call and a goroutine that sleeps and is
// woken: together a twelfth of the processor's time that reading a secret took.
//
// # How
//
// A deadline that is later than the one that the system knows is only noted: should
// the system's come first, whoever waits finds out that there is time left, and
// waits on with the right one. And a read of one byte begins after [Pause]: by then
// a short request has ended, and with it the read.
//
// What a server sees is the same, but for a client that hangs up: it is noticed a
// Pause later. Over TLS it is noticed at once, for there the reads are longer.
package httpconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Pause is how long a client can be gone before the handler of its request
// learns of it.
const Pause = 50 * time.Millisecond

// Listener returns a listener with such connections. Those of inner are of TCP or
// of a unix socket.
func Listener(inner net.Listener) net.Listener { return listener{inner} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	stream, ok := inner.(stream)
	if !ok {
		return inner, nil
	}
	c := &conn{stream: stream, begins: make(chan bool, 1)}
	c.reading.set, c.writing.set = stream.SetReadDeadline, stream.SetWriteDeadline
	return c, nil
}

// stream is what connections of TCP and of unix sockets have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// conn is one connection. As with net/http, one goroutine reads at a time.
type conn struct {
	stream
	reading, writing deadline

	// The rest is of the read of one byte, and guarded by reading.
	begins chan bool   // has room for the one word: it begins, or its deadline came first
	paused bool        // it waits for that word
	until  time.Time   // that long
	timer  *time.Timer // ends the pause; stopping and starting it for every read would cost more
	runs   bool        // the timer does
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 1 && !c.pause() {
		return 0, os.ErrDeadlineExceeded
	}
	for {
		n, err := c.stream.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.reading.extend() {
			return n, err
		}
	}
}

// pause waits for a moment, and reports false if the deadline of reading came
// first.
func (c *conn) pause() bool {
	return c.beginPause() && <-c.begins
}

func (c *conn) beginPause() bool {
	c.reading.Lock()
	defer c.reading.Unlock()
	now := time.Now()
	if c.reading.over(now) {
		return false
	}
	c.paused, c.until = true, now.Add(Pause)
	if !c.runs {
		c.run(Pause)
	}
	return true
}

// run has endPause called.
func (c *conn) run(in time.Duration) {
	c.runs = true
	if c.timer == nil {
		c.timer = time.AfterFunc(in, c.endPause)
		return
	}
	c.timer.Reset(in)
}

// endPause lets the read begin, if its pause is over.
func (c *conn) endPause() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.runs = false
	if !c.paused {
		return
	}
	if left := time.Until(c.until); left > 0 {
		c.run(left)
		return
	}
	c.paused = false
	c.begins <- true
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.paused {
		return c.reading.want(t)
	}
	c.reading.wanted = t
	if c.reading.over(time.Now()) {
		c.paused = false
		c.begins <- false
		return nil
	}
	return c.reading.want(t)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (written int, err error) {
	for {
		n, err := c.stream.Write(p[written:])
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !c.writing.extend() {
			return written, err
		}
	}
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.writing.want(t)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// deadline is one of the two of a connection. The zero Time is none.
type deadline struct {
	set func(time.Time) error // tells the system

	sync.Mutex
	wanted time.Time
	known  time.Time // what the system was told; never later than wanted
}

// want notes a deadline, and tells the system if it would wait for too long. The
// caller has locked d.
func (d *deadline) want(t time.Time) error {
	d.wanted = t
	if t.IsZero() || !d.known.IsZero() && !t.Before(d.known) {
		return nil
	}
	d.known = t
	return d.set(t)
}

// extend is called when the deadline that the system knows has passed, and reports
// whether there is time left. The system knows by then.
func (d *deadline) extend() bool {
	d.Lock()
	defer d.Unlock()
	if d.over(time.Now()) {
		return false
	}
	d.known = d.wanted
	return d.set(d.wanted) == nil
}

// over reports whether the deadline has passed.
func (d *deadline) over(now time.Time) bool { return !d.wanted.IsZero() && !now.Before(d.wanted) }
