// Package api is how applications outside the host read their secrets over
// HTTP, below /-/api/v1/. openapi.json says what can be asked; a test holds it
// against the table of routes and the table of errors.
//
// # How a request travels
//
//	secure     TLS, a unix socket or this machine; else the token has been read
//	           by others by now (identify.go)
//	identify   the bearer token, and nothing else: no cookie, no signed token of
//	           Datasette. Guessing is slowed down by address (lockout.go)
//	rate       so many requests a second of one client (limit.go)
//	plain      what could mean two things is refused: a body of no stated length,
//	           two conditions, a header that asks for another method (plain.go)
//	routes     one table, on the escaped path (routes.go)
//	handler    fills in an answer, or returns an error; an error is written, and
//	           kept in the log, in one place (fail.go)
//
// # What never happens
//
// A value leaves by two handlers only, of one and of several secrets, and the
// vault has recorded that before. No error, header or log line holds a value or
// a token. A browser's page of another site can ask nothing: there is nothing
// in a browser that would count as a token, and no answer allows another origin.
package api

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// Prefix begins the path of every request that is meant for this package, below
// the host's base_url.
const Prefix = "/-/api/"

// DefaultRate is how many requests a second one client may send in the long
// run, and twice as many at once. It is more than most machines answer: who has
// several clients on one host sets it lower.
const DefaultRate = 50_000

// Config is what the API needs. Vault is required.
type Config struct {
	Vault   *vault.Vault
	BaseURL string  // the setting base_url: "/" or "/prefix/"
	TLS     bool    // whatever comes here came over TLS, by way of a proxy
	Rate    float64 // requests a second of one client; 0: DefaultRate
	Version string  // of the host
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
	// Observe is told of each request when it ends: the row of the table of
	// routes, the status and the time that it took. It may be nil.
	Observe func(route string, status int, took time.Duration)
}

// site is the handler's state.
type site struct {
	Config
	bases    []string // what the paths of the table stand below
	rows     []route
	headers  []header
	instance string // names this process in ETags of what cannot change while it runs
	rates    rates
	lockout  lockout
	journal  journal
}

// Handler returns the handler of the API.
func Handler(cfg Config) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rate == 0 {
		cfg.Rate = DefaultRate
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, int, time.Duration) {}
	}
	s := &site{
		Config:   cfg,
		bases:    bases(cfg.BaseURL),
		headers:  headers(),
		instance: rand.Text()[:13],
		rates:    newRates(cfg.Rate, cfg.Now),
		lockout:  newLockout(cfg.Now),
		journal:  newJournal(cfg.Now),
	}
	s.rows = s.labelled()
	return s
}

// Serves reports whether a request is meant for the API of a host with this
// base_url. It goes by the path as it was sent: other ways to write it are no
// address of this host.
func Serves(r *http.Request, baseURL string) bool {
	path := r.URL.EscapedPath()
	return strings.HasPrefix(path, strings.TrimSuffix(baseURL, "/")+Prefix) || strings.HasPrefix(path, Prefix)
}
