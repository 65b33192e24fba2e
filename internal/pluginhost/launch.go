package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	goplugin "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// launch is one run of a plugin's program, from its certificates to its last
// file. It is used once.
type launch struct {
	name     string
	hash     string // of its program
	log      *slog.Logger
	timings  Timings
	dir      string // its private folder; everything below is in it
	identity pluginwire.Identity
	bare     bool // the plugin brings a certificate of its own
	runner   *runner
	config   *plugin.ClientConfig
	client   *plugin.Client
	callback *callback // nil until the process runs
	pulse    *pulse
	users    users
	about    introduction     // what it says about itself, once it was asked
	conn     *grpc.ClientConn // nil until it is connected
	hooks    *hooks           // nil until it is initialised

	mu      sync.Mutex
	adopted []*grpc.ClientConn // what go-plugin made, whether or not it still knows
	over    bool               // stopped: what is made from now on is closed at once
}

// newLaunch prepares the folder and the certificates of a launch.
func newLaunch(h *Host, name string, program *sandbox.Program, policy sandbox.Policy, j *journal) (*launch, error) {
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(h.runtime.Path, "p")
	if err != nil {
		return nil, fmt.Errorf("making the plugin's private folder: %w", bare(err))
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("making the plugin's private folder: %w", bare(err)), os.RemoveAll(dir))
	}
	grant := h.cfg.Grants[name]
	l := &launch{name: name, hash: hashOf(program), log: j.log, timings: h.cfg.Timings, dir: dir, identity: identity, pulse: newPulse()}
	l.runner = &runner{
		name: name, home: home, extra: slices.Concat(memoryVariables(grant.Memory), h.networkVariables(grant)), bootstrap: identity.Bootstrap(),
		journal: j, stdout: newStdout(), known: make(chan struct{}),
		command: func(socketDir string, env []string) (*sandbox.Command, error) {
			policy.Write, policy.Connect = []string{home, socketDir}, []string{dir}
			return h.cfg.Entry.Command(program, policy, grant.Args, env, home)
		},
	}
	l.config = l.clientConfig(j)
	l.client = plugin.NewClient(l.config)
	return l, nil
}

func (l *launch) clientConfig(j *journal) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  pluginwire.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{pluginwire.ProtocolVersion: {pluginwire.SetName: connection{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (goplugin.Runner, error) {
			l.runner.prepare(cmd.Env, socketDir)
			return l.runner, nil
		},
		SkipHostEnv:      true,
		TLSConfig:        l.identity.HostTLS(),
		StartTimeout:     l.timings.Handshake + time.Second, // launch itself is stricter
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: l.dir},
		GRPCDialOptions:  dialOptions(l.runner.dial, l.timings.Call, l.pulse, l.adopt),
		SyncStdout:       j.lines(),
		SyncStderr:       j.lines(),
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	}
}

// adopt keeps a connection that go-plugin made, to close it in the end.
func (l *launch) adopt(conn *grpc.ClientConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		_ = conn.Close()
		return errAborted
	}
	if !slices.Contains(l.adopted, conn) {
		l.adopted = append(l.adopted, conn)
	}
	return nil
}

// disown closes those connections, and any that is made later.
func (l *launch) disown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, conn := range l.adopted {
		_ = conn.Close()
	}
}

// handshake starts the process and waits for its handshake.
func (l *launch) handshake(ctx context.Context) error {
	err := guard(ctx, l.timings.Handshake, func() error {
		_, err := l.client.Start()
		return err
	})
	if failure := l.runner.unexecuted(); failure != nil {
		return failure
	}
	if failure := l.runner.stdout.failure(); failure != nil {
		return failure
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it did not answer the handshake within %s", l.timings.Handshake)
	case err != nil && l.runner.process() == nil:
		return fmt.Errorf("it could not be executed: %w", bare(err))
	case err != nil:
		return fmt.Errorf("the handshake failed: %w", err)
	}
	if cert := l.runner.stdout.certificate(); cert != nil {
		l.bare = true
		l.identity = l.identity.WithPlugin(cert)
		l.config.TLSConfig = l.identity.HostTLS() // go-plugin reads it when it connects
	}
	return nil
}

// connect opens the connections in both directions.
func (l *launch) connect(ctx context.Context, cfg Config) error {
	callback, err := newCallback(cfg, l)
	if err != nil {
		return err
	}
	l.callback = callback
	var conn any
	err = guard(ctx, l.timings.Call, func() error {
		protocol, err := l.client.Client()
		if err != nil {
			return err
		}
		conn, err = protocol.Dispense(pluginwire.SetName)
		return err
	})
	if err != nil {
		return l.explain("the connection", err)
	}
	l.conn = conn.(*grpc.ClientConn)
	if l.bare {
		return guard(ctx, l.timings.Call, l.offerHost)
	}
	return nil
}

// connection is go-plugin's name for what a plugin offers: here just the
// connection itself.
type connection struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements plugin.GRPCPlugin; the host is never the server.
func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the host is not a plugin")
}

// GRPCClient implements plugin.GRPCPlugin.
func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
