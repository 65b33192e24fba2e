package pluginapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// stopTimeout is how long Start may go on after the host went away.
const stopTimeout = 3 * time.Second

// byHand is what a person sees who starts a plugin in a terminal.
const byHand = `%s is a plugin for datasette-secrets, which starts it by itself.
Put it in a folder as datasette-secrets-plugin-NAME and run: datasette-secrets --plugins-dir FOLDER
`

// Serve runs p until the host asks it to stop, and then ends the process. It is
// all that a plugin's main has to do.
func Serve(p Plugin) {
	// go-plugin puts pipes in place of os.Stdout and os.Stderr once it serves,
	// so the real standard error is taken here.
	os.Exit(serve(p, os.Stdin, os.Stderr))
}

func serve(p Plugin, stdin io.Reader, stderr io.Writer) (code int) {
	if os.Getenv(pluginwire.CookieKey) != pluginwire.CookieValue {
		fmt.Fprintf(stderr, byHand, filepath.Base(os.Args[0]))
		return 1
	}
	tlsConfig, err := readTLS(stdin)
	if err != nil {
		newLogger(stderr, "plugin").Error("starting the plugin", "error", err)
		return 1
	}
	session := Connect(p, unixDialer(tlsConfig), stderr)
	server := session.Server(grpc.Creds(credentials.NewTLS(tlsConfig)))
	defer server.Stop()

	served, orphaned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		plugin.Serve(serveConfig(server, tlsConfig, stderr))
	}()
	go func() {
		defer close(orphaned)
		_, _ = io.Copy(io.Discard, stdin) // an error means the end as well
	}()
	return await(session, server, served, orphaned)
}

// readTLS reads the bootstrap line.
func readTLS(stdin io.Reader) (*tls.Config, error) {
	bootstrap, err := pluginwire.ReadBootstrap(stdin)
	if err != nil {
		return nil, err
	}
	return bootstrap.PluginTLS()
}

// await returns when the plugin's life is over, with the exit code.
func await(session *Session, server *grpc.Server, served, orphaned <-chan struct{}) (code int) {
	returned := session.Returned()
	for {
		select {
		case <-returned:
			if session.Err() == nil {
				returned = nil // it goes on in the background
				continue
			}
			code = 1
		case <-served:
		case <-orphaned:
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if session.Stop(ctx) != nil {
		code = 1
	}
	server.Stop() // lets go-plugin remove its socket
	select {
	case <-served:
	case <-ctx.Done():
	}
	return code
}

func serveConfig(server *grpc.Server, tlsConfig *tls.Config, stderr io.Writer) *plugin.ServeConfig {
	return &plugin.ServeConfig{
		HandshakeConfig: pluginwire.Handshake(),
		Plugins:         plugin.PluginSet{pluginwire.SetName: registered{}},
		TLSProvider:     func() (*tls.Config, error) { return tlsConfig, nil },
		GRPCServer:      func([]grpc.ServerOption) *grpc.Server { return server },
		// Only what keeps go-plugin from serving is worth a line.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: stderr, JSONFormat: true}),
	}
}

// registered is go-plugin's view of a plugin whose services are already on the
// server.
type registered struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements plugin.GRPCPlugin.
func (registered) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

// GRPCClient implements plugin.GRPCPlugin; a plugin never is a client of one.
func (registered) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client")
}

// unixDialer connects to the socket that the host opened for this plugin.
func unixDialer(tlsConfig *tls.Config) Dialer {
	return func(address string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+pluginwire.Authority,
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", address)
			}),
			grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig)),
			grpc.WithAuthority(pluginwire.Authority),
			grpc.WithNoProxy(),
			grpc.WithStaticStreamWindowSize(pluginwire.Window),
			grpc.WithStaticConnWindowSize(pluginwire.Window),
			grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(pluginwire.PluginMaxReceive),
				grpc.MaxCallSendMsgSize(pluginwire.HostMaxReceive)),
		)
	}
}
