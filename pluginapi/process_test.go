package pluginapi_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// modeKey makes this test binary a plugin.
const modeKey = "PLUGINAPI_TEST_MODE"

// patience bounds every wait in these tests; none takes nearly as long.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if mode, ok := os.LookupEnv(modeKey); ok {
		pluginapi.Serve(testPlugin(mode))
	}
	os.Exit(m.Run())
}

// process is a plugin's process, as a host sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *lockedBuffer
	dir    string        // where its socket is
	ended  chan struct{} // closed after Wait
}

// launch starts this binary as a plugin in the given mode.
func launch(t *testing.T, mode string, env ...string) *process {
	t.Helper()
	// A test's own TempDir can be too long for the path of a socket.
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(env, modeKey+"="+mode, plugin.EnvUnixSocketDir+"="+dir)
	p := &process{cmd: cmd, stderr: &lockedBuffer{}, dir: dir, ended: make(chan struct{})}
	cmd.Stderr = p.stderr
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = out
	p.stdout = bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
		_ = stdout.Close()
	})
	return p
}

// cookie is what a host puts into the environment.
func cookie() string { return pluginwire.CookieKey + "=" + pluginwire.CookieValue }

// exit waits for the end of the process and returns its exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the plugin goes on; it logged:\n%s", p.stderr)
		return -1
	}
}

// sockets returns the files that are left where the socket was.
func (p *process) sockets(t *testing.T) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// connected is a plugin whose host has shaken hands with it.
type connected struct {
	*process
	identity pluginwire.Identity
	address  string
	client   plugin.ClientProtocol
	conn     *grpc.ClientConn
}

// connect does a host's part of the start.
func connect(t *testing.T, mode string) *connected {
	t.Helper()
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := &connected{process: launch(t, mode, cookie()), identity: identity}
	if err := pluginwire.WriteBootstrap(c.stdin, identity.Bootstrap()); err != nil {
		t.Fatal(err)
	}
	line, err := c.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("reading the handshake: %v\n%s", err, c.stderr)
	}
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 5 || fields[0] != "1" || fields[1] != "1" || fields[2] != "unix" || fields[4] != "grpc" {
		t.Fatalf("handshake %q", line)
	}
	c.address = fields[3]
	c.client = c.dial(t)
	// Not plugin.Client.Kill: it looks for the end of a process it did not
	// start only once a second.
	t.Cleanup(func() { _ = c.client.Close() })
	c.conn = c.client.(*plugin.GRPCClient).Conn
	return c
}

// dial makes a go-plugin client of the running process.
func (c *connected) dial(t *testing.T) plugin.ClientProtocol {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  pluginwire.Handshake(),
		Plugins:          plugin.PluginSet{},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        c.identity.HostTLS(),
		Logger:           hclog.NewNullLogger(),
		Reattach: &plugin.ReattachConfig{
			Protocol:        plugin.ProtocolGRPC,
			ProtocolVersion: pluginwire.ProtocolVersion,
			Addr:            &net.UnixAddr{Name: c.address, Net: "unix"},
			Pid:             c.cmd.Process.Pid,
		},
	})
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	return protocol
}

func (c *connected) lifecycle() pluginpb.LifecycleClient { return pluginpb.NewLifecycleClient(c.conn) }
func (c *connected) starter() pluginpb.StarterClient     { return pluginpb.NewStarterClient(c.conn) }
func (c *connected) declarations() pluginpb.DeclarationsClient {
	return pluginpb.NewDeclarationsClient(c.conn)
}

// init calls Init with the address of a callback server.
func (c *connected) init(t *testing.T) *pluginpb.InitResponse {
	t.Helper()
	response, err := c.lifecycle().Init(callContext(t), &pluginpb.InitRequest{PluginName: "weather", HostAddress: c.callback(t)})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// start calls Init and Start.
func (c *connected) start(t *testing.T) {
	t.Helper()
	c.init(t)
	if _, err := c.starter().Start(callContext(t), &pluginpb.StartRequest{}); err != nil {
		t.Fatal(err)
	}
}

// callback serves secrets to the plugin, as its host, and returns the address.
func (c *connected) callback(t *testing.T) string {
	t.Helper()
	address := filepath.Join(c.dir, "host.sock")
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(c.identity.HostTLS())))
	pluginpb.RegisterSecretsServer(server, callbackServer{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return address
}

// callbackServer knows one secret, KEY.
type callbackServer struct {
	pluginpb.UnimplementedSecretsServer
}

func (callbackServer) GetSecret(_ context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	if r.GetName() != "KEY" {
		return nil, pluginwire.ToStatus(pluginapi.ErrNotSet)
	}
	return &pluginpb.GetSecretResponse{Value: []byte("hunter2"), Source: "database"}, nil
}

func callContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// waitFor waits until the plugin has logged text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	if !p.stderr.waitFor(text) {
		t.Fatalf("the plugin did not log %q but:\n%s", text, p.stderr)
	}
}

// lockedBuffer is a plugin's standard error.
type lockedBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written []chan struct{}
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, waiting := range b.written {
		close(waiting)
	}
	b.written = nil
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor reports whether text is written before patience is over.
func (b *lockedBuffer) waitFor(text string) bool {
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		if strings.Contains(b.buf.String(), text) {
			b.mu.Unlock()
			return true
		}
		written := make(chan struct{})
		b.written = append(b.written, written)
		b.mu.Unlock()
		select {
		case <-written:
		case <-deadline:
			return false
		}
	}
}
