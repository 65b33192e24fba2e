package sdk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// process is a plugin's process, as a host sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *harness.Output
	dir    string        // where its socket is
	ended  chan struct{} // closed after Wait
}

// launch starts a program as a plugin.
func launch(t *testing.T, program string, env ...string) *process {
	t.Helper()
	// A test's own TempDir can be too long for the path of a socket.
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command(program)
	cmd.Dir = dir
	cmd.Env = append(env, "PATH=/usr/bin:/bin", plugin.EnvUnixSocketDir+"="+dir)
	p := &process{cmd: cmd, stderr: &harness.Output{}, dir: dir, ended: make(chan struct{})}
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

// signalThread sends a signal to a thread that is not the main one.
func (p *process) signalThread(signal syscall.Signal) error {
	pid := p.cmd.Process.Pid
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, entry := range threads {
		if id, err := strconv.Atoi(entry.Name()); err == nil && id != pid {
			return unix.Tgkill(pid, id, signal)
		}
	}
	return errors.New("the plugin has no other thread")
}

// waitFor waits until the plugin has logged text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(p.stderr.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the plugin did not log %q but:\n%s", text, p.stderr)
		}
	}
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
func connect(t *testing.T, program string, env ...string) *connected {
	t.Helper()
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := &connected{process: launch(t, program, append(env, cookie())...), identity: identity}
	if err := pluginwire.WriteBootstrap(c.stdin, identity.Bootstrap()); err != nil {
		t.Fatal(err)
	}
	line, err := c.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("reading the handshake: %v\n%s", err, c.stderr)
	}
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	if len(fields) != 5 || fields[0] != "1" || fields[1] != "1" || fields[2] != "unix" || fields[4] != "grpc" {
		t.Fatalf("handshake %q", line)
	}
	c.address = fields[3]
	c.client = c.dial(t)
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
