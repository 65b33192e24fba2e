package pluginhost

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const (
	maxStreams    = 128     // calls at once on one connection
	streamWorkers = 64      // goroutines that answer calls one after the other, which spares each a new stack; more calls get their own
	maxRequest    = 1 << 20 // bytes of one request
	callRate      = 20_000  // calls a second, more than two processors answer
	callBurst     = 40_000  // calls at once
)

// callback is the server of one launch: the plugin's way to its host.
type callback struct {
	address string
	server  *grpc.Server
}

// newCallback opens the plugin's socket and serves it.
func newCallback(cfg Config, l *launch) (*callback, error) {
	address := filepath.Join(l.dir, "host.sock")
	listener, err := listen(address, l.runner.process(), l.log)
	if err != nil {
		return nil, err
	}
	gate := &gate{log: l.log, limiter: rate.NewLimiter(callRate, callBurst)}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(l.identity.HostTLS())),
		grpc.ConnectionTimeout(l.timings.Call),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StaticStreamWindowSize(pluginwire.Window),
		grpc.StaticConnWindowSize(pluginwire.Window),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(pluginwire.PluginMaxReceive),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ChainUnaryInterceptor(gate.recover, gate.limit, gate.translate),
		grpc.ChainStreamInterceptor(gate.recoverStream, gate.limitStream, gate.translateStream),
	)
	service := newService(cfg, l)
	pluginpb.RegisterSecretsServer(server, service)
	pluginpb.RegisterConfigurationServer(server, configuration{service: service})
	go func() { _ = server.Serve(listener) }() // ends with stop
	return &callback{address: address, server: server}, nil
}

// services are the full names of what the host serves, sorted.
func (c *callback) services() []string {
	return slices.Sorted(maps.Keys(c.server.GetServiceInfo()))
}

// stop ends the server, its connections and its socket.
func (c *callback) stop() { c.server.Stop() }

// gate is what every call of one plugin passes.
type gate struct {
	log     *slog.Logger
	limiter *rate.Limiter
}

// recover turns a panic into an error. What it carries may be a secret, so
// that only its type and place are logged.
func (g *gate) recover(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if p := recover(); p != nil {
			response, err = nil, g.panicked(info.FullMethod)
		}
	}()
	return handle(ctx, request)
}

func (g *gate) recoverStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = g.panicked(info.FullMethod)
		}
	}()
	return handle(server, stream)
}

func (g *gate) panicked(method string) error {
	g.log.Error("panic while answering a plugin", "method", method, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "internal error")
}

// limit refuses calls beyond the rate.
func (g *gate) limit(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := g.admit(); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

// endsInTime tells whether the plugin gave the call a deadline that is early
// enough. Most calls have one, and a second timer would cost each of them.
func endsInTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= pluginwire.HostCallTimeout
}

func (g *gate) limitStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := g.admit(); err != nil {
		return err
	}
	return handle(server, stream)
}

func (g *gate) admit() error {
	if !g.limiter.Allow() {
		return status.Error(codes.ResourceExhausted, "too many calls; try again in a second")
	}
	return nil
}

// translate gives the call a deadline, and its error the form in which it may
// cross.
func (g *gate) translate(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if !endsInTime(ctx) {
		bounded, cancel := context.WithTimeout(ctx, pluginwire.HostCallTimeout)
		defer cancel()
		ctx = bounded
	}
	response, err := handle(ctx, request)
	if err != nil {
		return nil, g.crossing(info.FullMethod, err)
	}
	return response, nil
}

// translateStream sets no deadline: a stream lives as long as both ends do.
func (g *gate) translateStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := handle(server, stream); err != nil {
		return g.crossing(info.FullMethod, err)
	}
	return nil
}

// crossing is an error as the plugin may see it. What the plugin is not told,
// the log is.
func (g *gate) crossing(method string, err error) error {
	if status.Code(err) == codes.ResourceExhausted {
		return err // of this package's own making
	}
	crossing := pluginwire.ToStatus(err)
	if errors.Is(err, context.Canceled) {
		return crossing // nobody waits for the answer any more: most often, the plugin has ended
	}
	switch status.Code(crossing) {
	case codes.Internal, codes.DataLoss:
		g.log.Error("answering a plugin failed", "method", method, "error", err)
	case codes.Unavailable:
		g.log.Warn("answering a plugin failed", "method", method, "error", err)
	}
	return crossing
}
