// Command bare is a plugin as somebody writes it who knows go-plugin and the
// two .proto files, and nothing else of this project: go-plugin makes its
// certificates, and its broker leads to the host. Package pluginpb stands for
// what that author generates from pluginapi/proto.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "DATASETTE_SECRETS_PLUGIN",
			MagicCookieValue: "5c1b7f0e-plugin-of-datasette-secrets",
		},
		Plugins:    plugin.PluginSet{"secrets": &bare{}},
		GRPCServer: plugin.DefaultGRPCServer,
	})
}

type bare struct {
	plugin.NetRPCUnsupportedPlugin
	pb.UnimplementedLifecycleServer
	pb.UnimplementedDeclarationsServer
	pb.UnimplementedStarterServer

	broker *plugin.GRPCBroker
	host   *grpc.ClientConn
}

// GRPCServer registers the services that the host calls.
func (b *bare) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	b.broker = broker
	pb.RegisterLifecycleServer(server, b)
	pb.RegisterDeclarationsServer(server, b)
	pb.RegisterStarterServer(server, b)
	return nil
}

func (b *bare) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client")
}

func (b *bare) Init(_ context.Context, r *pb.InitRequest) (*pb.InitResponse, error) {
	var err error
	b.host, err = b.broker.Dial(r.GetHostBrokerId())
	return &pb.InitResponse{Services: []string{"secrets.plugin.v1.Starter"}}, err
}

func (b *bare) RegisterSecrets(context.Context, *pb.RegisterSecretsRequest) (*pb.RegisterSecretsResponse, error) {
	return &pb.RegisterSecretsResponse{Secrets: []*pb.Secret{{Name: "HEALTHY_KEY"}}}, nil
}

func (b *bare) Start(context.Context, *pb.StartRequest) (*pb.StartResponse, error) {
	go b.run()
	return &pb.StartResponse{}, nil
}

func (b *bare) Shutdown(context.Context, *pb.ShutdownRequest) (*pb.ShutdownResponse, error) {
	return &pb.ShutdownResponse{}, nil
}

// run reads the secret all the time, each time over the one connection.
func (b *bare) run() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		r, err := pb.NewSecretsClient(b.host).GetSecret(ctx, &pb.GetSecretRequest{Name: "HEALTHY_KEY"})
		cancel()
		fmt.Fprintf(os.Stderr, "bare: %d bytes from %q, %v\n", len(r.GetValue()), r.GetSource(), err)
		time.Sleep(20 * time.Millisecond)
	}
}
