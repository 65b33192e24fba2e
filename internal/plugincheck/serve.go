package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const (
	callTime = pluginwire.CallTimeout // the host's patience for one call
	lostTime = time.Second            // between a broken connection and the end of its process
)

// serving starts the program and connects to it, in both directions.
func (k *kit) serving(ctx context.Context) (*launch, error) {
	l, err := k.begin(true)
	if err != nil {
		return nil, err
	}
	if err := l.connect(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *launch) connect(ctx context.Context) error {
	parts, err := l.handshake(ctx)
	if err != nil {
		return err
	}
	if err := addressProblem(parts, l.sockets); err != nil {
		return err
	}
	cert, err := certificateIn(parts)
	if err != nil {
		return err
	}
	if cert != nil {
		l.bare, l.identity = true, l.identity.WithPlugin(cert)
	}
	if l.host, err = newFakeHost(l); err != nil {
		return err
	}
	l.address = parts[3]
	l.conn, err = l.dial(l.address, credentials.NewTLS(l.identity.HostTLS()))
	if err != nil {
		return err
	}
	go l.drain()
	if !l.bare {
		return nil
	}
	return l.explain("go-plugin's broker", pluginwire.OfferHost(context.Background(), l.conn, l.host.address))
}

// dial makes a connection to the program. It is opened with the first call.
func (l *launch) dial(address string, as credentials.TransportCredentials) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+pluginwire.Authority,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}),
		grpc.WithTransportCredentials(as),
		grpc.WithAuthority(pluginwire.Authority),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(pluginwire.HostMaxReceive),
			grpc.MaxCallSendMsgSize(pluginwire.PluginMaxReceive)),
		grpc.WithChainUnaryInterceptor(l.kit.call))
	if err != nil {
		return nil, fmt.Errorf("connecting to the program: %w", err)
	}
	return conn, nil
}

// call gives every call a deadline and looks for values in what comes back.
func (k *kit) call(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.limit(callTime))
		defer cancel()
	}
	err := invoke(ctx, method, request, reply, conn, opts...)
	place := "the answer to " + filepath.Base(method)
	if err != nil {
		data, _ := proto.Marshal(status.Convert(err).Proto()) // always one
		k.canaries.search("an error of "+filepath.Base(method), data)
	} else if message, ok := reply.(proto.Message); ok {
		data, _ := proto.Marshal(message) // it has just come as that
		k.canaries.search(place, data)
	}
	return err
}

// drain reads what a program prints by go-plugin's own stream of output, which
// stops the program when nobody does. It ends with the connection.
func (l *launch) drain() {
	desc := &grpc.StreamDesc{ServerStreams: true}
	stream, err := l.conn.NewStream(context.Background(), desc, "/plugin.GRPCStdio/StreamStdio")
	if err != nil || stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return
	}
	search := &searcher{canaries: l.kit.canaries, place: "printed output"}
	for {
		printed := &emptypb.Empty{} // its fields are unknown to it, and kept as they came
		if stream.RecvMsg(printed) != nil {
			return
		}
		_, _ = search.Write(printed.ProtoReflect().GetUnknown())
	}
}

// ready starts the program and brings it to where it does its work, in the
// order of a host.
func (k *kit) ready(ctx context.Context) (*launch, error) {
	l, err := k.serving(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.introduce(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *launch) introduce(ctx context.Context) error {
	if err := l.initialise(ctx); err != nil {
		return err
	}
	if _, err := l.declarations(ctx); err != nil {
		return err
	}
	if !l.offers(pluginpb.Starter_ServiceDesc) {
		return nil
	}
	_, err := pluginpb.NewStarterClient(l.conn).Start(ctx, &pluginpb.StartRequest{})
	return l.explain("Start", err)
}

// initialise tells the program where its host is.
func (l *launch) initialise(ctx context.Context) error {
	request := &pluginpb.InitRequest{
		HostVersion:   "plugin test",
		ProtocolMinor: pluginwire.ProtocolMinor,
		PluginName:    l.kit.name(),
		HostAddress:   l.host.address,
		HostServices:  hostServices(),
	}
	if l.bare {
		request.HostBrokerId = pluginwire.OfferedID
	}
	response, err := pluginpb.NewLifecycleClient(l.conn).Init(ctx, request)
	l.services = response.GetServices()
	return l.explain("Init", err)
}

// declarations asks what the program needs, and gives each of it a value.
func (l *launch) declarations(ctx context.Context) ([]*pluginpb.Secret, error) {
	response, err := pluginpb.NewDeclarationsClient(l.conn).RegisterSecrets(ctx, &pluginpb.RegisterSecretsRequest{})
	if err != nil {
		return nil, l.explain("RegisterSecrets", err)
	}
	l.host.declare(response.GetSecrets())
	return response.GetSecrets(), nil
}

// offers tells whether the program named a service in its answer to Init.
func (l *launch) offers(service grpc.ServiceDesc) bool {
	return slices.Contains(l.services, service.ServiceName)
}

// explain says in one sentence why a call failed, and what to do; nil stays
// nil. The program's own words are left to its log.
func (l *launch) explain(call string, err error) error {
	if err == nil {
		return nil
	}
	code := status.Code(err)
	if errors.Is(err, context.DeadlineExceeded) {
		code = codes.DeadlineExceeded
	}
	// A connection that breaks is most often the first sign of an end.
	if code == codes.Unavailable && l.process.gone(context.Background(), l.kit.limit(lostTime)) {
		return problem{fmt.Sprintf("it ended during %s (%s)", call, l.process.exit()), "see what it logged"}
	}
	switch code {
	case codes.DeadlineExceeded:
		return problem{fmt.Sprintf("it did not answer %s within %s", call, l.kit.limit(callTime)),
			call + " must answer at once; work that goes on belongs in the background"}
	case codes.ResourceExhausted: // which gRPC itself says of a message that is too large
		return problem{fmt.Sprintf("it is too busy for %s, or its answer is too large", call),
			fmt.Sprintf("answer calls side by side, with at most %d MiB each", pluginwire.HostMaxReceive>>20)}
	case codes.Unimplemented:
		return problem{"it does not offer " + call, "serve it, or do not name its service in the answer to Init"}
	case codes.Unavailable:
		return problem{fmt.Sprintf("%s found no connection: %s", call, clean(status.Convert(err).Message(), 2*maxSample)),
			"listen before the handshake line is printed, with TLS 1.3 and the certificates of the bootstrap line"}
	}
	return problem{fmt.Sprintf("%s failed (%s)", call, code), "see what it logged"}
}
