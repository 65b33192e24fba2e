package ui

import (
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"
)

// elsewhere is the route of whatever is in no row of the table.
const elsewhere = "none"

// answer is a response and what is told about it afterwards.
type answer struct {
	http.ResponseWriter
	id     string // of the request
	route  string // the pattern of the table
	status int    // 0: nothing was sent
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(data)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// observe gives each request a number of this host's own making, which its
// answer, the log and the audit log have in common, and counts it. A number that
// the client sends counts for nothing: it could be another's.
func (s *site) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a := &answer{ResponseWriter: w, id: rand.Text()[:13], route: elsewhere}
		a.Header().Set("X-Request-Id", a.id)
		defer func() { s.observed(a, r, time.Since(began)) }() // also of a connection that is cut off
		next.ServeHTTP(a, r)
	})
}

func (s *site) observed(a *answer, r *http.Request, took time.Duration) {
	s.Metrics.Request(a.route, a.status, took)
	// Without the query: the one of /-/auth-token is a credential.
	s.Log.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("request", a.id), slog.String("method", r.Method), slog.String("path", escapeRaw(rawPath(r))),
		slog.Int("status", a.status), slog.Int64("bytes", a.bytes), slog.Int64("us", took.Microseconds()), slog.String("remote", remote(r)))
}

// onRoute notes the row of the table that answers.
func onRoute(path string, next http.Handler) http.Handler {
	route := placeholder.ReplaceAllString(path, "{$1}")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := w.(*answer); ok {
			a.route = route
		}
		next.ServeHTTP(w, r)
	})
}

// placeholder is a part of a route with the pattern that it must match.
var placeholder = regexp.MustCompile(`{([^:}]+):[^}]*}`)

// note adds to the caller what only logs are told: the number of the request
// that w answers, and where it comes from.
func (r *request) note(w http.ResponseWriter) {
	if a, ok := w.(*answer); ok {
		r.caller.RequestID = a.id
	}
	r.caller.Remote = remote(r.Request)
}

// remote is the network address that sent a request, without its port; empty
// for a unix socket. Headers that claim another are not believed.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
