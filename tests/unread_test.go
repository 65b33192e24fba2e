package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// What the HTTP server refuses before anybody reads it is in the log all the same,
// with the address that it came from. A connection on which nothing was sent, and
// requests that are answered, are not.
func TestUnreadableRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	for what, c := range map[string]struct {
		text   string
		status int
	}{
		"no HTTP":             {"\x16\x03\x01\x02\x00\x01\x00 hunter2\r\n\r\n", 400},
		"another protocol":    {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505},
		"a header too large":  {"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("hunter2 ", 20_000) + "\r\n\r\n", 431},
		"two lengths":         {"POST /-/api/v1/secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400},
		"an odd encoding":     {"POST /-/api/v1/secrets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, hunter2\r\n\r\n", 501},
		"a folded header":     {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		"no host":             {"GET / HTTP/1.1\r\n\r\n", 400},
		"two hosts":           {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		"a path that is none": {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"half a request":      {"GET / HTTP/1.1\r\nHost: x\r\nX: hunter2", 400},
	} {
		before := len(unreadable(t, dir))
		if got := sent(t, host, c.text); !slices.Equal(got, []int{c.status}) {
			t.Errorf("%s: status %d, want %d", what, got, c.status)
		}
		all := awaitUnreadable(t, dir, before+1)
		if newest := all[len(all)-1]; newest.Allowed != 0 || newest.Remote != "127.0.0.1" || !strings.Contains(newest.Reason, "cannot be read as HTTP") {
			t.Errorf("%s: recorded %+v", what, newest)
		}
	}
	before := len(unreadable(t, dir))
	sent(t, host, "")
	got := sent(t, host, "GET /-/secrets HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !slices.Equal(got, []int{http.StatusForbidden, http.StatusOK}) {
		t.Errorf("status %d", got)
	}
	host.Stop(t)
	if all := unreadable(t, dir); len(all) != before {
		t.Errorf("recorded without a reason: %+v", all[before:])
	}
	if r := audited(t, dir, "export"); strings.Contains(r.Stdout, "hunter2") {
		t.Error("the log has what was sent")
	}
}

// Whoever sends nothing but garbage does not fill the log.
func TestUnreadableRequestsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	began := time.Now()
	for range 400 {
		sent(t, host, "garbage\r\n\r\n")
	}
	host.Stop(t)
	most := 200 + 2*int(time.Since(began).Seconds()+1)
	if n := len(unreadable(t, dir)); n < 200 || n > most {
		t.Errorf("%d are recorded, want 200 to %d", n, most)
	}
}

// What comes while the host stops is dropped unread: nothing is wrong with it.
// Such a request was once recorded as one that cannot be read.
func TestRequestsAtTheEndAreNotUnreadable(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	conn := dial(t, host)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	host.Get(t, "/", secrets.NewActor("root")) // connections are taken in their order: ours is taken
	if err := host.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for { // until the listener is closed
		other, err := net.Dial("tcp", conn.RemoteAddr().String())
		if err != nil {
			break
		}
		other.Close()
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(conn, "\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) != 0 {
		t.Fatalf("the stopping host answered %q, %v", answer, err)
	}
	host.Stop(t)
	if all := unreadable(t, dir); len(all) != 0 {
		t.Errorf("recorded without a reason: %+v", all)
	}
}

// sent sends bytes, and nothing more, and returns the status of each answer.
func sent(t *testing.T, host *harness.Process, text string) (statuses []int) {
	t.Helper()
	conn := dial(t, host)
	defer conn.Close()
	_, _ = io.WriteString(conn, text) // a server that has seen enough closes it
	_ = conn.(*net.TCPConn).CloseWrite()
	for answers := bufio.NewReader(conn); ; {
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, r.StatusCode)
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
}

// dial connects to a host, for a minute at most.
func dial(t *testing.T, host *harness.Process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(host.URL, "http://"))
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(time.Minute))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type unreadEntry struct {
	Allowed        int
	Remote, Reason string
}

// unreadable are the refused requests in the log, oldest first.
func unreadable(t *testing.T, dir string) (all []unreadEntry) {
	t.Helper()
	r := audited(t, dir, "export", "--action", "request")
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		var e unreadEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(fmt.Errorf("%q: %w", line, err))
		}
		all = append(all, e)
	}
	return all
}

func awaitUnreadable(t *testing.T, dir string, n int) []unreadEntry {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := unreadable(t, dir)
		if len(all) == n {
			return all
		}
		if len(all) > n || time.Now().After(deadline) {
			t.Fatalf("%d are recorded, want %d", len(all), n)
		}
	}
}
