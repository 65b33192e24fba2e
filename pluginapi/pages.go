package pluginapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

const (
	headerTimeout  = 10 * time.Second // for the headers of one request
	maxPageHeaders = 64 << 10         // bytes
)

type httpServer struct {
	pluginpb.UnimplementedHttpServer
	session *Session
	handler HTTPHandler
}

// Listen serves the pages. The host may ask again, and then the former socket
// and key are good no more.
func (s httpServer) Listen(_ context.Context, r *pluginpb.ListenRequest) (*pluginpb.ListenResponse, error) {
	if err := s.session.servePages(s.handler, r.GetAddress(), r.GetKey()); err != nil {
		return nil, s.session.refuse("listen", err)
	}
	return &pluginpb.ListenResponse{}, nil
}

func (s *Session) servePages(handler HTTPHandler, address string, key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return fmt.Errorf("%w: the plugin is stopping", secrets.ErrUnavailable)
	case s.conn == nil:
		return fmt.Errorf("%w: Listen was called before Init", secrets.ErrInvalid)
	case len(key) == 0:
		return fmt.Errorf("%w: Listen was called without a key", secrets.ErrInvalid)
	}
	if s.pages != nil {
		_ = s.pages.Close() // removes its socket
	}
	listener, err := s.listen(address)
	if err != nil {
		return fmt.Errorf("opening the socket of the pages: %w", err)
	}
	s.pages = &http.Server{
		Handler:           onlyFromHost(handler, s.host, bytes.Clone(key)),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxPageHeaders,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelError),
		BaseContext:       func(net.Listener) context.Context { return s.lifetime },
	}
	go servePages(s.pages, listener, s.logger)
	return nil
}

func servePages(server *http.Server, listener net.Listener, log *slog.Logger) {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serving the pages ended", "error", err)
	}
}

// onlyFromHost refuses every request that the host did not just sign: other
// programs may find the socket. What the host says about the sender goes into
// the context, and its header no further.
func onlyFromHost(handler HTTPHandler, host Host, key []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed := r.Header.Values(pluginwire.HandoverHeader)
		if len(signed) != 1 {
			refuseRequest(w)
			return
		}
		handover, err := pluginwire.ReadHandover(key, signed[0], r.Method, r.RequestURI, time.Now())
		if err != nil {
			refuseRequest(w)
			return
		}
		r.Header.Del(pluginwire.HandoverHeader)
		ctx := withHost(withActor(r.Context(), handover.Actor, handover.Token), host)
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
}

// refuseRequest answers an impostor.
func refuseRequest(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	http.Error(w, "This address is for the host alone.", http.StatusForbidden)
}

// listenUnix listens on a socket for this plugin's user alone.
func listenUnix(address string) (net.Listener, error) {
	listener, err := net.Listen("unix", address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
