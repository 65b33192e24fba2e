package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/control"
)

// TestMain lets the test program be another user's, too: it connects to the
// socket that it is given, and says what came of it.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "connect" {
		fmt.Print(connect(os.Args[2]))
		return
	}
	os.Exit(m.Run())
}

func connect(socket string) string {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	text, _ := io.ReadAll(conn)
	return "answered " + string(text)
}

// host is a server with a few acts, and what they were called with.
type host struct {
	*control.Server
	database string
	runtime  string
	log      *bytes.Buffer
	calls    atomic.Int64
}

func start(t *testing.T) *host {
	t.Helper()
	h := &host{database: filepath.Join(t.TempDir(), "internal.db"), runtime: shortDir(t), log: &bytes.Buffer{}}
	if err := os.WriteFile(h.database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func (h *host) serve() (err error) {
	acts := map[string]control.Act{
		"echo": func(_ context.Context, caller secrets.Caller, request json.RawMessage) (any, error) {
			h.calls.Add(1)
			return map[string]any{"got": request, "by": caller.Actor.ID(), "proof": caller.Proof, "plugin": caller.Plugin}, nil
		},
		"panic": func(context.Context, secrets.Caller, json.RawMessage) (any, error) { panic("hunter2") },
		"hang": func(ctx context.Context, _ secrets.Caller, _ json.RawMessage) (any, error) {
			h.calls.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"fail": func(_ context.Context, _ secrets.Caller, request json.RawMessage) (any, error) {
			var word string
			if err := json.Unmarshal(request, &word); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("doing it: %w: because", sentinels()[word])
		},
	}
	h.Server, err = control.Serve(control.Config{
		Database: h.database, RuntimeDir: h.runtime, Acts: acts, Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	return err
}

// shortDir is a folder with a path that is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func dial(t *testing.T, database string) *control.Client {
	t.Helper()
	client, err := control.Dial(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// note is what lies beside the database.
func (h *host) note(t *testing.T) (path, socket, token string) {
	t.Helper()
	path = h.database + "-control"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	socket, token, err = control.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return path, socket, token
}

func TestCommandArrivesWithWhoRunsIt(t *testing.T) {
	t.Parallel()
	h := start(t)
	client := dial(t, h.database)
	var got struct {
		Got               map[string]int
		By, Proof, Plugin string
	}
	for range 3 {
		if err := client.Call(t.Context(), "echo", map[string]int{"a": 1}, &got); err != nil {
			t.Fatal(err)
		}
	}
	me := control.Operator(os.Geteuid()).Actor.ID()
	if got.Got["a"] != 1 || got.By != me || me == "" || got.Proof != "local" || got.Plugin != "" {
		t.Errorf("got %+v, want %s", got, me)
	}
	// A link to the database leads to its host.
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(h.database, link); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, link).Call(t.Context(), "echo", 1, nil); err != nil {
		t.Error(err)
	}
}

func TestNothingIsOpenToOthers(t *testing.T) {
	t.Parallel()
	h := start(t)
	path, socket, token := h.note(t)
	for path, want := range map[string]os.FileMode{
		path: 0o600, socket: os.ModeSocket | 0o600, filepath.Dir(socket): os.ModeDir | 0o700,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if len(token) != 64 {
		t.Errorf("the token has %d digits, want 64", len(token))
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, socket, filepath.Dir(socket)} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if _, err := control.Dial(t.Context(), h.database); !errors.Is(err, control.ErrNoHost) {
		t.Errorf("after the end: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(h.database)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// The socket without the token is worth nothing, however the token is wrong.
func TestSocketWithoutTheToken(t *testing.T) {
	t.Parallel()
	h := start(t)
	_, socket, token := h.note(t)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Bearer " + token[:63], "Bearer " + token + "0", "Bearer " + token[:63] + "x",
		token, "bearer " + token, "Basic " + token, "Bearer " + strings.ToUpper(token) + "A",
	} {
		for _, path := range []string{"/echo", "/", "/nothing"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://host"+path, strings.NewReader("1"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", header)
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized || strings.Contains(string(body), token) {
				t.Errorf("%q %s: %d %s", header, path, response.StatusCode, body)
			}
		}
	}
	if n := h.calls.Load(); n != 0 {
		t.Errorf("%d acts were performed", n)
	}
	h.Close()
	if n := strings.Count(h.log.String(), "without the token"); n != 1 {
		t.Errorf("the log tells %d times, want once:\n%s", n, h.log)
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the token is in the log")
	}
}

// Another user of the machine gets no answer, even at an open door.
func TestOtherUsersAreHungUpOn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can be another user
	}
	folder := shortDir(t)
	socket := filepath.Join(folder, "s")
	listener, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(listener)
	defer server.Close()
	program := filepath.Join(folder, "program")
	copyFile(t, os.Args[0], program)
	for _, path := range []string{folder, socket} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for uid, want := range map[uint32]bool{0: true, 65534: false} {
		cmd := exec.Command(program, "connect", socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		if err != nil || strings.Contains(string(out), "404") != want || !strings.HasPrefix(string(out), "answered") {
			t.Errorf("user %d: %s, %v", uid, out, err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneHostForOneDatabase(t *testing.T) {
	t.Parallel()
	h := start(t)
	second := &host{database: h.database, runtime: h.runtime, log: &bytes.Buffer{}}
	if err := second.serve(); !errors.Is(err, control.ErrTaken) {
		t.Fatalf("the second host: %v", err)
	}
	if folders, _ := os.ReadDir(h.runtime); len(folders) != 1 {
		t.Errorf("the second host left %v", folders)
	}
	if err := dial(t, h.database).Call(t.Context(), "echo", 1, nil); err != nil {
		t.Errorf("the first host: %v", err)
	}
	h.Close()
	if err := second.serve(); err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	defer second.Close()
	if err := dial(t, h.database).Call(t.Context(), "echo", 1, nil); err != nil || second.calls.Load() != 1 {
		t.Errorf("the second host: %v", err)
	}
}

func TestHostsThatStartAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.Close()
	for range 10 {
		var served atomic.Int64
		var all sync.WaitGroup
		hosts := make([]*host, 6)
		for i := range hosts {
			hosts[i] = &host{database: h.database, runtime: h.runtime, log: &bytes.Buffer{}}
			all.Go(func() {
				err := hosts[i].serve()
				switch {
				case err == nil:
					served.Add(1)
				case !errors.Is(err, control.ErrTaken):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if served.Load() != 1 {
			t.Fatalf("%d of them take the commands, want one", served.Load())
		}
		if err := dial(t, h.database).Call(t.Context(), "echo", 1, nil); err != nil {
			t.Error(err)
		}
		for _, h := range hosts {
			if h.Server != nil {
				h.Close()
			}
		}
	}
}

// The note of a host that was killed is neither a host nor in the way of the
// next one.
func TestNoteOfADeadHost(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.Close()
	socket := filepath.Join(h.runtime, "socket")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	other := filepath.Join(h.runtime, "precious")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"socket": "` + socket + `", "token": "` + strings.Repeat("0", 64) + `", "pid": 1}`,
		`{"socket": "` + other + `", "token": "` + strings.Repeat("0", 64) + `", "pid": 1}`,
		`{"socket": "relative`, ``,
	} {
		if err := os.WriteFile(h.database+"-control", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := control.Dial(t.Context(), h.database); err == nil {
			t.Errorf("%s: there is a host", text)
		}
		if err := h.serve(); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := dial(t, h.database).Call(t.Context(), "echo", 1, nil); err != nil {
			t.Error(err)
		}
		h.Close()
	}
	for _, path := range []string{socket, other} { // whatever a note says
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("a file that is not the host's is gone: %v", err)
		}
	}
}

// A command tells nothing to a socket that others may have put in its way.
func TestNoteThatOthersMayHaveWritten(t *testing.T) {
	t.Parallel()
	h := start(t)
	path, _, _ := h.note(t)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), h.database); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("a note with mode 0640: %v", err)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), h.database); err == nil || errors.Is(err, control.ErrNoHost) {
		t.Errorf("a note that is a link: %v", err)
	}
	h.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the host removed what is not its note: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	for _, path := range []string{path, path + ".moved"} {
		os.Remove(path)
	}
	if err := h.serve(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), h.database); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("a note of another user: %v", err)
	}
	// Root may command the host of another user, but not somebody who only
	// pretends to be that host.
	if err := os.Chown(h.database, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), h.database); err == nil || !strings.Contains(err.Error(), "is another user") {
		t.Errorf("a note of the database's owner, who does not listen: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h := start(t)
	client := dial(t, h.database)
	if err := client.Call(t.Context(), "echo", strings.Repeat("x", 70<<10), nil); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("a request that is too large: %v", err)
	}
	if err := client.Call(t.Context(), "unheard-of", 1, nil); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("an act that is not there: %v", err)
	}
	_, socket, _ := h.note(t)
	var conns []net.Conn
	for range control.MaxConns + 4 { // silent ones, which hold their slots for a while
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Close()
	}
	deadline := time.Now().Add(20 * time.Second)
	for err := errors.New("not yet"); err != nil; {
		if err = client.Call(t.Context(), "echo", 1, nil); err != nil && time.Now().After(deadline) {
			t.Fatalf("after too many connections: %v", err)
		}
	}
}

func TestPanicIsAnErrorThatTellsNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	client := dial(t, h.database)
	err := client.Call(t.Context(), "panic", 1, nil)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if err := client.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	h.Close()
	if text := h.log.String(); !strings.Contains(text, "control_test.go") || strings.Contains(text, "hunter2") {
		t.Errorf("the log says %s", text)
	}
}

func TestCloseEndsCommandsThatHang(t *testing.T) {
	t.Parallel()
	h := start(t)
	client := dial(t, h.database)
	done := make(chan error, 1)
	go func() { done <- client.Call(t.Context(), "hang", 1, nil) }()
	for deadline := time.Now().Add(20 * time.Second); h.calls.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the command does not arrive")
		}
		time.Sleep(time.Millisecond)
	}
	h.Close()
	if err := <-done; !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// sentinels are the classes of error by their names.
func sentinels() map[string]error {
	return map[string]error{
		"ErrInvalid": secrets.ErrInvalid, "ErrDenied": secrets.ErrDenied, "ErrNotDeclared": secrets.ErrNotDeclared,
		"ErrNotApproved": secrets.ErrNotApproved, "ErrNotFound": secrets.ErrNotFound, "ErrNotSet": secrets.ErrNotSet,
		"ErrNotConfigured": secrets.ErrNotConfigured, "ErrSealed": secrets.ErrSealed,
		"ErrIntegrity": secrets.ErrIntegrity, "ErrUnavailable": secrets.ErrUnavailable,
	}
}

func TestEverySentinelHasARow(t *testing.T) {
	t.Parallel()
	client := dial(t, start(t).database)
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := sentinels()
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Err") {
			return true
		}
		name := spec.Names[0].Name
		got := client.Call(t.Context(), "fail", name, nil)
		if known[name] == nil || !errors.Is(got, known[name]) || got.Error() != "doing it: "+known[name].Error()+": because" {
			t.Errorf("%s arrives as %v", name, got)
		}
		for other, class := range known {
			if errors.Is(got, class) != errors.Is(known[name], class) {
				t.Errorf("%s arrives as %s", name, other)
			}
		}
		return true
	})
}

func FuzzNote(f *testing.F) {
	f.Add(`{"socket": "/run/secrets-1/control.sock", "token": "` + strings.Repeat("a", 64) + `", "pid": 1}`)
	f.Add(`{"socket": "../x", "token": null}`)
	f.Add(strings.Repeat("[", 5000))
	f.Fuzz(func(t *testing.T, text string) {
		socket, token, err := control.Parse(strings.NewReader(text))
		if err == nil && (!filepath.IsAbs(socket) || len(token) != 64) {
			t.Errorf("%q is a note", text)
		}
	})
}
