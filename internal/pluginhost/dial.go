package pluginhost

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const maxHeaders = 16 << 10 // bytes of the headers of one call

// dialOptions limits the connection to a plugin. go-plugin's own calls go over
// it too, and have no deadline by themselves.
func dialOptions(dial func(context.Context, string) (net.Conn, error), limit time.Duration, pulse *pulse, adopt adopter) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(dial),
		grpc.WithAuthority(pluginwire.Authority),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(pluginwire.Window),
		grpc.WithStaticConnWindowSize(pluginwire.Window),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(pluginwire.HostMaxReceive),
			grpc.MaxCallSendMsgSize(pluginwire.PluginMaxReceive)),
		grpc.WithChainUnaryInterceptor(pulse.call, withDeadline(limit)),
		grpc.WithChainStreamInterceptor(adopt.stream, withoutBroker),
	}
}

// withDeadline gives every call a deadline.
func withDeadline(limit time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return invoke(ctx, method, request, reply, conn, opts...)
	}
}

// adopter learns of the connection that go-plugin makes. go-plugin opens a
// stream on it first of all, and forgets the connection when that fails.
type adopter func(*grpc.ClientConn) error

func (a adopter) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := a(conn); err != nil {
		return nil, err
	}
	return open(ctx, desc, conn, method, opts...)
}

// withoutBroker keeps go-plugin's broker from running: a plugin could fill the
// host's memory with its offers of connections. The host's own offer goes
// through.
func withoutBroker(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") && desc.StreamName != pluginwire.OfferStream {
		return nil, status.Error(codes.Unimplemented, "this host has no broker")
	}
	return open(ctx, desc, conn, method, opts...)
}
