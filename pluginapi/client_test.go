package pluginapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// silentHost never answers.
type silentHost struct {
	pluginpb.UnimplementedSecretsServer
}

func (silentHost) GetSecret(ctx context.Context, _ *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// call runs f as a plugin's Start whose host is behind listener.
func call(t *testing.T, listener *bufconn.Listener, f func(context.Context, pluginapi.Host) error) {
	t.Helper()
	dial := func(to *bufconn.Listener) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///localhost",
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return to.DialContext(ctx) }),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	session := pluginapi.Connect(worker{declarer{one}, f},
		func(string) (*grpc.ClientConn, error) { return dial(listener) }, io.Discard)
	plugin := bufconn.Listen(1 << 16)
	server := session.Server()
	go func() { _ = server.Serve(plugin) }()
	defer server.Stop()
	conn, err := dial(plugin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pluginpb.NewLifecycleClient(conn).Init(t.Context(), &pluginpb.InitRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pluginpb.NewStarterClient(conn).Start(t.Context(), &pluginpb.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	<-session.Returned()
	if err := session.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestACallToASilentHostEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 16)
		server := grpc.NewServer()
		pluginpb.RegisterSecretsServer(server, silentHost{})
		go func() { _ = server.Serve(listener) }()
		defer server.Stop()
		call(t, listener, func(ctx context.Context, host pluginapi.Host) error {
			began := time.Now()
			_, err := host.GetSecret(ctx, "KEY", "")
			if !errors.Is(err, pluginapi.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("without a deadline: ended after %v", took)
			}
			began = time.Now()
			short, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, _ = host.GetSecret(short, "KEY", "")
			if took := time.Since(began); took != time.Minute {
				t.Errorf("with a deadline of a minute: ended after %v", took)
			}
			return nil
		})
	})
}

func TestACallToAHostThatIsGone(t *testing.T) {
	t.Parallel()
	listener := bufconn.Listen(1 << 16)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	call(t, listener, func(ctx context.Context, host pluginapi.Host) error {
		if _, err := host.GetSecret(ctx, "KEY", ""); !errors.Is(err, pluginapi.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestACallAfterTheEnd(t *testing.T) {
	t.Parallel()
	listener := bufconn.Listen(1 << 16)
	call(t, listener, func(ctx context.Context, host pluginapi.Host) error {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := host.GetSecret(ended, "KEY", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}
