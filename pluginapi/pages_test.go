package pluginapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// echo is a plugin whose pages say what they were asked.
type echo struct{ declarer }

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s for %v, body %q, headers %v, host %t", r.Method, r.RequestURI,
		pluginapi.ActorFromContext(r.Context()), body, r.Header, pluginapi.HostFromContext(r.Context()) != nil)
}

const pagesKey = "0123456789abcdef0123456789abcdef"

// pagesOf runs a plugin whose pages are on a real socket.
func pagesOf(t *testing.T, p pluginapi.Plugin) (socket string, listen func(address, key string) error) {
	t.Helper()
	nobody := func(string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///nobody", grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	session := pluginapi.Connect(p, nobody, io.Discard)
	plugin := bufconn.Listen(1 << 16)
	server := session.Server()
	go func() { _ = server.Serve(plugin) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return plugin.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	dir, err := os.MkdirTemp("", "pages") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen = func(address, key string) error {
		_, err := pluginpb.NewHttpClient(conn).Listen(t.Context(), &pluginpb.ListenRequest{Address: address, Key: []byte(key), Prefix: "/-/plugins/echo"})
		return err
	}
	socket = filepath.Join(dir, "http.sock")
	if err := listen(socket, pagesKey); err == nil {
		t.Fatal("it listens before Init")
	}
	if _, err := pluginpb.NewLifecycleClient(conn).Init(t.Context(), &pluginpb.InitRequest{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(socket); err == nil {
			t.Error("the socket is left behind")
		}
	})
	if err := listen(socket, ""); err == nil {
		t.Error("it listens without a key")
	}
	if err := listen(socket, pagesKey); err != nil {
		t.Fatal(err)
	}
	return socket, listen
}

// ask sends a request as it is written to a socket.
func ask(t *testing.T, socket, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func signed(t *testing.T, key string, actor pluginapi.Actor, method, path string, lasts time.Duration) string {
	t.Helper()
	text, err := pluginwire.Handover{Actor: actor, Token: "t", Method: method, Path: path, Expires: time.Now().Add(lasts)}.Sign([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return pluginwire.HandoverHeader + ": " + text + "\r\n"
}

func TestPagesAnswerTheHost(t *testing.T) {
	t.Parallel()
	socket, listen := pagesOf(t, echo{declarer{one}})
	header := signed(t, pagesKey, pluginapi.Actor{"id": "ada"}, "POST", "/a%2Fb?x=1", time.Minute)
	status, body := ask(t, socket, "POST /a%2Fb?x=1 HTTP/1.1\r\nHost: localhost\r\n"+header+"Content-Length: 2\r\nConnection: close\r\n\r\nhi")
	if status != 200 || !strings.HasPrefix(body, `POST /a%2Fb?x=1 for map[id:ada], body "hi"`) || !strings.Contains(body, "host true") {
		t.Errorf("%d %s", status, body)
	}
	if strings.Contains(body, pluginwire.HandoverHeader) {
		t.Errorf("the proof goes on to the author's code: %s", body)
	}
	status, body = ask(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n"+signed(t, pagesKey, nil, "GET", "/", time.Minute)+"\r\n")
	if status != 200 || !strings.HasPrefix(body, "GET / for map[]") {
		t.Errorf("%d %s", status, body)
	}
	// Asked again, the former key is good no more.
	if err := listen(socket, "another"+pagesKey); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n"+signed(t, pagesKey, nil, "GET", "/", time.Minute)+"\r\n"); status != 403 {
		t.Errorf("with the former key: %d", status)
	}
	if status, _ := ask(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n"+signed(t, "another"+pagesKey, nil, "GET", "/", time.Minute)+"\r\n"); status != 200 {
		t.Errorf("with the new key: %d", status)
	}
	if err := listen("/nonexistent/s", pagesKey); err == nil {
		t.Error("it listens where it cannot")
	}
}

func TestPagesRefuseImpostors(t *testing.T) {
	t.Parallel()
	socket, _ := pagesOf(t, echo{declarer{one}})
	root := pluginapi.Actor{"id": "root"}
	good := signed(t, pagesKey, root, "GET", "/", time.Minute)
	cases := map[string]string{
		"no header":        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"an empty header":  "GET / HTTP/1.1\r\nHost: x\r\n" + pluginwire.HandoverHeader + ":\r\n\r\n",
		"another key":      "GET / HTTP/1.1\r\nHost: x\r\n" + signed(t, "x"+pagesKey, root, "GET", "/", time.Minute) + "\r\n",
		"another path":     "GET /other HTTP/1.1\r\nHost: x\r\n" + good + "\r\n",
		"another query":    "GET /?a HTTP/1.1\r\nHost: x\r\n" + good + "\r\n",
		"an absolute path": "GET http://x/ HTTP/1.1\r\nHost: x\r\n" + good + "\r\n",
		"another method":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + good + "\r\n",
		"expired":          "GET / HTTP/1.1\r\nHost: x\r\n" + signed(t, pagesKey, root, "GET", "/", -2*time.Second) + "\r\n",
		"twice":            "GET / HTTP/1.1\r\nHost: x\r\n" + good + good + "\r\n",
		"twice, one bad":   "GET / HTTP/1.1\r\nHost: x\r\n" + pluginwire.HandoverHeader + ": x\r\n" + good + "\r\n",
		"two in one line":  "GET / HTTP/1.1\r\nHost: x\r\n" + strings.TrimSuffix(good, "\r\n") + "," + good + "\r\n",
	}
	for name, request := range cases {
		if status, body := ask(t, socket, request); status != http.StatusForbidden || strings.Contains(body, "root") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may open the socket: %v %v", info.Mode(), err)
	}
}

func TestPagesSurviveAPanic(t *testing.T) {
	t.Parallel()
	socket, _ := pagesOf(t, panics{echo{declarer{one}}})
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, "GET /panic HTTP/1.1\r\nHost: x\r\n"+signed(t, pagesKey, nil, "GET", "/panic", time.Minute)+"\r\n")
	if data, err := io.ReadAll(conn); err != nil || len(data) > 0 {
		t.Errorf("a page that panics answers %q, %v", data, err)
	}
	if status, _ := ask(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n"+signed(t, pagesKey, nil, "GET", "/", time.Minute)+"\r\n"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

type panics struct{ echo }

func (p panics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/panic" {
		panic("no weather today")
	}
	p.echo.ServeHTTP(w, r)
}
