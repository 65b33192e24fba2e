package httpconn_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/httpconn"
)

// soon is longer than anything here takes that does not wait for ever.
const soon = 20 * time.Second

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counted is a listener whose connections count what the system is asked to do.
type counted struct {
	net.Listener
	reads, deadlines atomic.Int64
}

type countedConn struct {
	*net.TCPConn
	of *counted
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c.(*net.TCPConn), l}, nil
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.of.reads.Add(1)
	return c.TCPConn.Read(p)
}

func (c *countedConn) SetReadDeadline(t time.Time) error {
	c.of.deadlines.Add(1)
	return c.TCPConn.SetReadDeadline(t)
}

func (c *countedConn) SetWriteDeadline(t time.Time) error {
	c.of.deadlines.Add(1)
	return c.TCPConn.SetWriteDeadline(t)
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	return l
}

// serve starts a server with limits like the host's on such connections.
func serve(t testing.TB, inner net.Listener, server *http.Server) {
	t.Helper()
	go func() { _ = server.Serve(httpconn.Listener(inner)) }()
	t.Cleanup(func() { server.Close() })
}

func limited(handler http.HandlerFunc) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
}

func dial(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	ok(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// exchange sends one request and reads its answer.
func exchange(t testing.TB, c net.Conn, reader *bufio.Reader) string {
	t.Helper()
	_, err := io.WriteString(c, get)
	ok(t, err)
	return answer(t, reader)
}

func answer(t testing.TB, reader *bufio.Reader) string {
	t.Helper()
	r, err := http.ReadResponse(reader, nil)
	ok(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	ok(t, err)
	return string(body)
}

// What it is for: of a hundred requests, each takes one read and no deadline, but
// for the first ones.
func TestShortRequestsAskLittleOfTheSystem(t *testing.T) {
	l := &counted{Listener: listenTCP(t)}
	serve(t, l, limited(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(2 * time.Millisecond) // so that the read of one byte would begin
		fmt.Fprint(w, "hello")
	}))
	c := dial(t, l)
	reader := bufio.NewReader(c)
	const requests = 100
	for range requests {
		if got := exchange(t, c, reader); got != "hello" {
			t.Fatalf("the answer is %q", got)
		}
	}
	// A test that waits for a processor may see the pause end.
	if reads, deadlines := l.reads.Load(), l.deadlines.Load(); reads > requests*3/2 || deadlines > requests/2 {
		t.Errorf("%d requests took %d reads and %d deadlines", requests, reads, deadlines)
	}
}

// A request that ends before anything else begins waits for no pause.
func TestInstantRequestsWaitForNothing(t *testing.T) {
	l := listenTCP(t)
	serve(t, l, limited(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	c := dial(t, l)
	reader := bufio.NewReader(c)
	const requests = 300
	began := time.Now()
	for range requests {
		exchange(t, c, reader)
	}
	if took := time.Since(began); took > requests*httpconn.Pause/3 {
		t.Errorf("%d requests took %s", requests, took)
	}
}

// A client that is gone is noticed while its request goes on.
func TestHangingUpIsNoticed(t *testing.T) {
	for network, listen := range map[string]func() (net.Listener, error){
		"tcp":  func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		"unix": func() (net.Listener, error) { return net.Listen("unix", filepath.Join(t.TempDir(), "s")) },
	} {
		t.Run(network, func(t *testing.T) {
			l, err := listen()
			ok(t, err)
			ended := make(chan error, 1)
			serve(t, l, limited(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
					ended <- nil
				case <-time.After(soon):
					ended <- errors.New("the handler never learned of it")
				}
			}))
			c := dial(t, l)
			_, err = io.WriteString(c, get)
			ok(t, err)
			c.Close()
			ok(t, <-ended)
		})
	}
}

// The same over TLS, whose reads are its own.
func TestTLS(t *testing.T) {
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wait" {
			fmt.Fprint(w, "hello")
			return
		}
		select {
		case <-r.Context().Done():
			ended <- nil
		case <-time.After(soon):
			ended <- errors.New("the handler never learned of it")
		}
	}))
	server.Listener = httpconn.Listener(server.Listener)
	server.StartTLS()
	defer server.Close()
	for range 5 {
		r, err := server.Client().Get(server.URL)
		ok(t, err)
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(body) != "hello" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	client := server.Client()
	client.Timeout = 200 * time.Millisecond
	if r, err := client.Get(server.URL + "/wait"); err == nil {
		r.Body.Close()
		t.Fatal("answered")
	}
	ok(t, <-ended)
}

// What comes while a request goes on, before or after the pause, is the next one.
func TestNothingIsLostBetweenRequests(t *testing.T) {
	l := listenTCP(t)
	var n atomic.Int64
	serve(t, l, limited(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 == 0 {
			time.Sleep(httpconn.Pause * 2)
		}
		fmt.Fprint(w, n.Load())
	}))
	c := dial(t, l)
	reader := bufio.NewReader(c)
	const requests = 24
	go func() {
		for i := range requests {
			for _, part := range []string{get[:1], get[1:20], get[20:]} {
				_, _ = io.WriteString(c, part)
				if i%2 == 0 {
					time.Sleep(httpconn.Pause / 4)
				}
			}
		}
	}()
	for i := range requests {
		if got := answer(t, reader); got != fmt.Sprint(i+1) {
			t.Fatalf("answer %d is %q", i+1, got)
		}
	}
}

// The limits of a server hold on a connection that has answered before, whose
// deadlines are the noted ones.
func TestLimitsHold(t *testing.T) {
	const limit = 300 * time.Millisecond
	for name, c := range map[string]struct {
		set    func(*http.Server)
		send   string
		closes bool
	}{
		"a header that never ends":      {func(s *http.Server) { s.ReadHeaderTimeout = limit }, get[:20], true},
		"a body that never ends":        {func(s *http.Server) { s.ReadTimeout = limit }, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhell", true},
		"no request":                    {func(s *http.Server) { s.IdleTimeout = limit }, "", true},
		"no request, and time left":     {func(s *http.Server) { s.ReadHeaderTimeout = limit / 10 }, "", false},
		"a header that goes on, slowly": {func(s *http.Server) { s.IdleTimeout = limit / 10 }, get[:20], false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listenTCP(t)
			server := limited(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					panic(http.ErrAbortHandler)
				}
				fmt.Fprint(w, "hello")
			})
			c.set(server)
			serve(t, l, server)
			conn := dial(t, l)
			reader := bufio.NewReader(conn)
			for range 3 {
				exchange(t, conn, reader)
			}
			began := time.Now()
			_, err := io.WriteString(conn, c.send)
			ok(t, err)
			patience := soon
			if !c.closes {
				patience = 2 * limit
			}
			ok(t, conn.SetReadDeadline(began.Add(patience)))
			_, err = reader.ReadByte()
			if over := errors.Is(err, os.ErrDeadlineExceeded); over == c.closes {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			if c.closes && time.Since(began) < limit/2 {
				t.Errorf("closed after %s already", time.Since(began))
			}
		})
	}
}

// A client that does not read its answer is cut off in time, also when answers
// before it were read.
func TestWritingIsLimited(t *testing.T) {
	l := listenTCP(t)
	failed := make(chan error, 1)
	server := limited(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprint(w, "hello")
			return
		}
		var err error
		for began := time.Now(); err == nil && time.Since(began) < soon; {
			_, err = w.Write(make([]byte, 1<<20))
		}
		failed <- err
	})
	server.WriteTimeout = 300 * time.Millisecond
	serve(t, l, server)
	c := dial(t, l)
	reader := bufio.NewReader(c)
	for range 3 {
		exchange(t, c, reader)
		time.Sleep(server.WriteTimeout / 2) // the deadline that the system knows passes
	}
	_, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
	ok(t, err)
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing ended with %v", err)
	}
}

// pair is such a connection and its other end.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l := listenTCP(t)
	defer l.Close()
	theirs = dial(t, l)
	ours, err := httpconn.Listener(l).Accept()
	ok(t, err)
	t.Cleanup(func() { ours.Close() })
	return ours, theirs
}

// The deadline that counts is the newest, whichever the system was told.
func TestNewestDeadlineCounts(t *testing.T) {
	t.Parallel()
	const moment = 100 * time.Millisecond
	for name, c := range map[string]struct {
		set   []time.Duration // from now; 0: none
		works bool            // what comes after three moments is read
	}{
		"none":                {nil, true},
		"later":               {[]time.Duration{moment, time.Hour}, true},
		"taken back":          {[]time.Duration{moment, 0}, true},
		"over and taken back": {[]time.Duration{-moment, 0}, true},
		"over, then later":    {[]time.Duration{-moment, time.Hour}, true},
		"earlier":             {[]time.Duration{time.Hour, moment}, false},
		"later, but too soon": {[]time.Duration{moment, 2 * moment}, false},
		"set again":           {[]time.Duration{moment, 0, 2 * moment}, false},
		"over":                {[]time.Duration{time.Hour, -moment}, false},
	} {
		for _, size := range []int{1, 8} {
			t.Run(fmt.Sprint(name, ", ", size), func(t *testing.T) {
				t.Parallel()
				ours, theirs := pair(t)
				for _, d := range c.set {
					var at time.Time
					if d != 0 {
						at = time.Now().Add(d)
					}
					ok(t, ours.SetDeadline(at))
				}
				time.AfterFunc(3*moment, func() { _, _ = theirs.Write([]byte("x")) })
				n, err := ours.Read(make([]byte, size))
				if c.works != (n == 1 && err == nil) || !c.works && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
	}
}

// A write that outlasts the deadline that the system knows loses and repeats
// nothing.
func TestWriteGoesOn(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	sent := make([]byte, 16<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	got := make(chan []byte)
	go func() {
		time.Sleep(200 * time.Millisecond) // until the buffers are full, and the deadline is over
		all, _ := io.ReadAll(theirs)
		got <- all
	}()
	ok(t, ours.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	ok(t, ours.SetWriteDeadline(time.Now().Add(time.Hour)))
	if n, err := ours.Write(sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	ok(t, ours.(interface{ CloseWrite() error }).CloseWrite())
	if !bytes.Equal(<-got, sent) {
		t.Error("something else has arrived")
	}
}

// A read of one byte can be ended at any moment, as net/http does after each
// request, and none of what comes is lost.
func TestReadOfOneByteEnds(t *testing.T) {
	t.Parallel()
	const rounds = 60
	ours, theirs := pair(t)
	go func() {
		for i := range rounds {
			time.Sleep(time.Duration(rand.Int64N(int64(httpconn.Pause / 2))))
			_, _ = theirs.Write([]byte{byte(i)})
		}
	}()
	arrived := 0
	for arrived < rounds {
		var read sync.WaitGroup
		var n int
		var err error
		one := make([]byte, 1)
		read.Go(func() { n, err = ours.Read(one) })
		switch rand.IntN(3) {
		case 0:
			time.Sleep(time.Duration(rand.Int64N(int64(httpconn.Pause / 8))))
		case 1: // about when the pause ends
			time.Sleep(httpconn.Pause + time.Duration(rand.Int64N(int64(2*time.Millisecond))) - time.Millisecond)
		}
		ok(t, ours.SetReadDeadline(time.Unix(1, 0)))
		ended := time.AfterFunc(soon, func() { panic("a read did not end") })
		read.Wait()
		ended.Stop()
		ok(t, ours.SetReadDeadline(time.Time{}))
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if n == 0 && arrived%5 == 0 { // as the next request is read
			ok(t, ours.SetReadDeadline(time.Now().Add(time.Hour)))
			more := make([]byte, 2)
			n, err = ours.Read(more)
			ok(t, err)
			one = more[:n]
		}
		for _, b := range one[:n] {
			if b != byte(arrived) {
				t.Fatalf("byte %d is %d", arrived, b)
			}
			arrived++
		}
	}
}
