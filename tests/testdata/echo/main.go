// Command echo calls a gRPC server as a plugin calls its host, with nothing
// else around it, and prints how many nanoseconds one call took. It is what the
// benchmark compares plugins with.
//
// Its arguments are the socket and how many calls to make, one after the other.
// Standard input gives the certificates, as a host gives them to a plugin.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(socket, times string) error {
	calls, err := strconv.Atoi(times)
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
	began := time.Now()
	for range calls {
		if _, err := client.CanAccessSecret(context.Background(), &pluginpb.CanAccessSecretRequest{Name: "KEY", ActorId: "probe"}); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(began).Nanoseconds() / int64(calls))
	return nil
}
