package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// behaviour is what a serving plugin does; a nil field is what a good one does.
type behaviour struct {
	declares []*pluginpb.Secret
	register func()           // within RegisterSecrets, before it answers
	start    func(*misbehave) // on a goroutine of its own, once started
	shutdown func()           // within Shutdown
	unready  error            // the answer to Start
	stays    bool             // when its standard input ends
	codec    bool             // answers RegisterSecrets with far too much
	hooks    *hooks           // its optional services
	ownCert  bool             // lets go-plugin make its certificate
}

// misbehave serves the protocol by hand, without the pluginapi that would keep
// it from most mistakes.
type misbehave struct {
	pluginpb.UnimplementedLifecycleServer
	pluginpb.UnimplementedDeclarationsServer
	pluginpb.UnimplementedStarterServer
	pluginpb.UnimplementedValidatorServer

	behaviour
	tls     *tls.Config
	host    *grpc.ClientConn
	address string   // of the host
	offered []string // by the host
	broker  *plugin.GRPCBroker
	brokers *grpc.ClientConn // to the host, if it offered a way through the broker
}

// The real ones: go-plugin replaces those of package os.
var rawStdout, rawStderr = os.Stdout, os.Stderr

func serve(b behaviour) {
	bootstrap, err := pluginwire.ReadBootstrap(os.Stdin)
	if err != nil {
		complain(err)
	}
	config, err := bootstrap.PluginTLS()
	if err != nil {
		complain(err)
	}
	if !b.stays {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: pluginwire.Handshake(),
		TLSProvider:     provider(b, config),
		Plugins:         plugin.PluginSet{pluginwire.SetName: set{p: &misbehave{behaviour: b, tls: config}}},
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			if b.codec {
				options = append(options, grpc.ForceServerCodecV2(newBloat()))
			}
			return grpc.NewServer(options...)
		},
	})
	if b.stays {
		forever()
	}
}

// provider is nil if go-plugin is to make the certificate.
func provider(b behaviour, config *tls.Config) func() (*tls.Config, error) {
	if b.ownCert {
		return nil
	}
	return func() (*tls.Config, error) { return config, nil }
}

// set registers the services in go-plugin's way.
type set struct {
	plugin.NetRPCUnsupportedPlugin
	p *misbehave
}

func (s set) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	s.p.broker = broker
	pluginpb.RegisterLifecycleServer(server, s.p)
	pluginpb.RegisterDeclarationsServer(server, s.p)
	pluginpb.RegisterStarterServer(server, s.p)
	pluginpb.RegisterValidatorServer(server, s.p)
	s.p.hooks.register(server)
	return nil
}

func (set) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client")
}

func (m *misbehave) Init(_ context.Context, r *pluginpb.InitRequest) (*pluginpb.InitResponse, error) {
	m.address, m.offered = r.GetHostAddress(), r.GetHostServices()
	var err error
	if m.host, err = m.dial(m.address); err == nil && m.ownCert {
		m.brokers, err = m.broker.Dial(r.GetHostBrokerId())
	}
	return &pluginpb.InitResponse{
		Version:  "1.2.3\x1b[31m",
		Services: append(m.hooks.services(), pluginpb.Starter_ServiceDesc.ServiceName),
	}, err
}

// dial connects to a host's socket with this plugin's certificate.
func (m *misbehave) dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(credentials.NewTLS(m.tls)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}))
}

func (m *misbehave) RegisterSecrets(context.Context, *pluginpb.RegisterSecretsRequest) (*pluginpb.RegisterSecretsResponse, error) {
	if m.register != nil {
		m.register()
	}
	return &pluginpb.RegisterSecretsResponse{Secrets: m.declares}, nil
}

func (m *misbehave) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	if m.start != nil {
		go m.start(m)
	}
	return &pluginpb.StartResponse{}, m.unready
}

func (m *misbehave) Shutdown(context.Context, *pluginpb.ShutdownRequest) (*pluginpb.ShutdownResponse, error) {
	if m.shutdown != nil {
		m.shutdown()
	}
	return &pluginpb.ShutdownResponse{}, nil
}
