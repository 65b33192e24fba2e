// Command echo calls a gRPC server as a plugin calls its host, with nothing
// else around it, and prints how long they took. It is what the
// benchmark compares plugins with.
//
// Its arguments are the socket, how many calls to make, and how many callers
// share them. It prints a pace.Figures in JSON.
// Standard input gives the certificates, as a host gives them to a plugin.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/tests/testdata/pace"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(socket, times, at string) error {
	calls, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	callers, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	bootstrap, err := pluginwire.ReadBootstrap(os.Stdin)
	if err != nil {
		return err
	}
	config, err := bootstrap.PluginTLS()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("passthrough:///"+socket,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithAuthority(pluginwire.Authority),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pluginpb.NewSecretsClient(conn)
	figures, err := pace.Run(callers, calls, func() error {
		_, err := client.CanAccessSecret(context.Background(), &pluginpb.CanAccessSecretRequest{Name: "KEY", ActorId: "probe"})
		return err
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(figures)
}
