package pluginapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// Dialer connects to the host at the address that it gave in Init.
type Dialer func(address string) (*grpc.ClientConn, error)

// Session is one plugin in the course of one life: its services for the host,
// and its connection back. [Serve] and package plugintest make one each, over
// different transports; a plugin's author needs neither Session nor [Connect].
type Session struct {
	plugin   Plugin
	dial     Dialer
	out      io.Writer
	lifetime context.Context // the one given to Start
	cancel   context.CancelFunc
	returned chan struct{} // closed when Start has returned
	listen   func(address string) (net.Listener, error)

	mu      sync.Mutex
	logger  *slog.Logger
	conn    *grpc.ClientConn
	host    Host         // nil before Init
	pages   *http.Server // of an HTTPHandler; nil before Listen
	started bool
	stopped bool
	err     error // what Start returned
}

// Connect makes the session of p, which dials its host with dial and logs to
// log.
func Connect(p Plugin, dial Dialer, log io.Writer) *Session {
	lifetime, cancel := context.WithCancel(context.Background())
	return &Session{
		plugin:   p,
		dial:     dial,
		out:      log,
		lifetime: lifetime,
		cancel:   cancel,
		returned: make(chan struct{}),
		listen:   listenUnix,
		logger:   newLogger(log, "plugin"),
	}
}

// ListenWith makes an [HTTPHandler] listen in another way than on a unix
// socket. It must be called before the session is used.
func (s *Session) ListenWith(listen func(address string) (net.Listener, error)) { s.listen = listen }

// Server returns a gRPC server with the plugin's services on it.
func (s *Session) Server(options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append(options,
		grpc.MaxRecvMsgSize(pluginwire.PluginMaxReceive),
		grpc.MaxSendMsgSize(pluginwire.HostMaxReceive),
		grpc.StaticStreamWindowSize(pluginwire.Window),
		grpc.StaticConnWindowSize(pluginwire.Window),
		grpc.ChainUnaryInterceptor(s.recoverCall, s.withHost),
	)...)
	s.register(server)
	return server
}

// Returned is closed when the plugin's Start has returned.
func (s *Session) Returned() <-chan struct{} { return s.returned }

// Err is the error that Start returned before it was asked to stop.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stop asks the plugin to stop and waits until Start has returned or ctx ends.
func (s *Session) Stop(ctx context.Context) error {
	s.cancel()
	if s.stop() {
		select {
		case <-s.returned:
		case <-ctx.Done():
			return fmt.Errorf("waiting for Start to return: %w", ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages != nil {
		_ = s.pages.Close()
	}
	if s.conn != nil {
		_ = s.conn.Close() // it may be closed already
	}
	return nil
}

// stop keeps Start from being called, and reports whether it has been.
func (s *Session) stop() (started bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.started
}

// init connects to the host.
func (s *Session) init(name, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return fmt.Errorf("%w: Init was called twice", secrets.ErrInvalid)
	}
	conn, err := s.dial(address)
	if err != nil {
		return fmt.Errorf("connecting to the host: %w", err)
	}
	s.conn = conn
	s.logger = newLogger(s.out, name)
	s.host = newHostClient(s.lifetime, s.conn, s.logger)
	return nil
}

// start calls the plugin's Start in the background.
func (s *Session) start(starter Starter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn == nil:
		return fmt.Errorf("%w: Start was called before Init", secrets.ErrInvalid)
	case s.started:
		return fmt.Errorf("%w: Start was called twice", secrets.ErrInvalid)
	case s.stopped:
		return fmt.Errorf("%w: the plugin is stopping", secrets.ErrUnavailable)
	}
	s.started = true
	go s.run(starter, s.host)
	return nil
}

func (s *Session) run(starter Starter, host Host) {
	defer close(s.returned)
	err := s.guarded(func() error { return starter.Start(s.lifetime, host) })
	if err == nil || s.lifetime.Err() != nil {
		return
	}
	s.log().Error("the plugin failed", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// errPanicked stands for a panic in the author's code, which is in the log.
var errPanicked = errors.New("the plugin panicked")

// guarded calls f and turns a panic into an error.
func (s *Session) guarded(f func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			s.log().Error("panic in the plugin", "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return f()
}

// recoverCall keeps a panic in the author's code from ending the process.
func (s *Session) recoverCall(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
	err = s.guarded(func() (err error) {
		response, err = handle(ctx, request)
		return err
	})
	if errors.Is(err, errPanicked) {
		return nil, pluginwire.ToStatus(err)
	}
	return response, err
}

// withHost gives every call the host in its context.
func (s *Session) withHost(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	host := s.host
	s.mu.Unlock()
	return handle(withHost(ctx, host), request)
}

func (s *Session) log() *slog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logger
}

// buildVersion is the version that the Go tool recorded in the program, empty
// if it knew none.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "(devel)" {
		return ""
	}
	return info.Main.Version
}
