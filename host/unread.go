package host

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Of the requests that nobody could read, so many are recorded at once, and in a
// second in the long run: the log must not grow as fast as anybody can send bytes.
const (
	unreadBurst = 200
	unreadRate  = 2
)

// Record makes a server keep those requests in the audit log that it refuses by
// itself, before a handler is asked: what is no HTTP, has a header that is too
// large or ends too early. It is called before the server serves. The end of ctx
// comes before the server is shut down: it drops what it reads from then on,
// well-formed or not.
func (h *Host) Record(ctx context.Context, server *http.Server) {
	handler := server.Handler
	server.ConnContext = h.unread.open
	server.ConnState = func(conn net.Conn, state http.ConnState) { h.unread.change(ctx, conn, state) }
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if begun, ok := r.Context().Value(begunKey{}).(*atomic.Bool); ok {
			begun.Store(false)
		}
		handler.ServeHTTP(w, r)
	})
}

// unread finds the requests that no handler was asked for: those that began on a
// connection which then was closed. All servers of a host share its limit.
type unread struct {
	door    *vault.Vault
	limiter *rate.Limiter
	begun   sync.Map // net.Conn to *atomic.Bool: a request began, and no handler has it yet
}

func newUnread(door *vault.Vault) *unread {
	return &unread{door: door, limiter: rate.NewLimiter(unreadRate, unreadBurst)}
}

type begunKey struct{}

func (u *unread) open(ctx context.Context, conn net.Conn) context.Context {
	begun := new(atomic.Bool)
	u.begun.Store(conn, begun)
	return context.WithValue(ctx, begunKey{}, begun)
}

// change is told of each step of a connection: active, with the first bytes of a
// request; idle, after the answer; closed.
func (u *unread) change(ctx context.Context, conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		if begun, ok := u.begun.Load(conn); ok && ctx.Err() == nil {
			begun.(*atomic.Bool).Store(true)
		}
	case http.StateClosed, http.StateHijacked:
		begun, ok := u.begun.LoadAndDelete(conn)
		if ok && begun.(*atomic.Bool).Load() && u.limiter.Allow() {
			u.record(conn.RemoteAddr())
		}
	}
}

// record keeps one such request. It was refused already, whether or not this
// succeeds.
func (u *unread) record(from net.Addr) {
	var caller secrets.Caller
	if addr, err := netip.ParseAddrPort(from.String()); err == nil {
		caller.Remote = addr.Addr().String()
	}
	failure := fmt.Errorf("%w: it cannot be read as HTTP: it is malformed, too large or ends too early", secrets.ErrInvalid)
	_ = u.door.NoteRefused(context.Background(), caller, vault.ActionRequest, "", failure)
}
