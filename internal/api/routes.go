package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// handler answers one request, or returns an error and writes nothing.
type handler func(w http.ResponseWriter, r *request) error

// route is one row of the table of addresses.
type route struct {
	path    string // as openapi.json has it
	open    bool   // for everybody, without a token
	methods []method
}

// method is what one method does at an address. limit is how many bytes the
// body may have; 0: there must be none.
type method struct {
	name  string
	serve handler
	limit int64
}

// Limits of bodies, in bytes. JSON may need six for one of a value.
const (
	maxNames        = 64 << 10
	maxNewValue     = 6<<20 + 4<<10
	maxDeclarations = 8 << 20
)

// table is every address of the API.
func (s *site) table() []route {
	return []route{
		// First, because it is asked most and they are tried one after the other.
		{path: "/secrets/{name}", methods: []method{
			{"GET", s.read, 0}, {"POST", s.write, maxNewValue}, {"DELETE", s.delete, 0},
		}},
		{path: "/openapi.json", open: true, methods: []method{{"GET", s.serveDocument, 0}}},
		{path: "/client", methods: []method{{"GET", s.client, 0}}},
		{path: "/secrets", methods: []method{{"GET", s.list, 0}}},
		{path: "/batch", methods: []method{{"POST", s.batch, maxNames}}},
		{path: "/can-access", methods: []method{{"POST", s.canAccess, maxNames}}},
		{path: "/declarations", methods: []method{
			{"GET", s.declarations, 0}, {"PUT", s.declare, maxDeclarations}, {"POST", s.declareMore, maxDeclarations},
		}},
		{path: "/events", methods: []method{{"GET", s.events, 0}}},
	}
}

// Routes returns the methods and addresses of the table, such as "GET /secrets".
func Routes() []string {
	var all []string
	for _, row := range new(site).table() {
		for _, m := range row.methods {
			all = append(all, m.name+" "+row.path)
		}
	}
	return all
}

// routes matches the escaped path, unchanged: decoding or cleaning it would
// make other names of it.
func (s *site) routes() http.Handler {
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, row := range s.table() {
		path := strings.ReplaceAll(row.path, "{name}", "{name:[^/]+}")
		m.Handle(s.base+path, s.handle(row))
		if s.base != Prefix+"v1" { // both forms are served, as pages are
			m.Handle(Prefix+"v1"+path, s.handle(row))
		}
	}
	m.NotFoundHandler = s.handle(route{path: "none", methods: nil})
	return m
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	s.router.ServeHTTP(w, r)
}

// handle answers the requests to one address.
func (s *site) handle(row route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		began := time.Now()
		a := &answer{ResponseWriter: w}
		r := newRequest(hr)
		a.Header().Set("X-Request-Id", r.id)
		defer func() { s.observed(a, r, row, time.Since(began)) }() // also of a connection that is cut off
		if err := s.guard(a, r, row); err != nil {
			s.fail(a, r, err)
		}
	})
}

// observed tells about a request that has ended. The log gets the row of the
// table, for a path may hold anything.
func (s *site) observed(a *answer, r *request, row route, took time.Duration) {
	route := "api " + row.path
	s.Observe(route, a.status, took)
	s.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("request", r.id), slog.String("method", r.Method), slog.String("route", route),
		slog.String("client", r.caller.Client), slog.Int("status", a.status), slog.Int64("us", took.Microseconds()), slog.String("remote", r.caller.Remote))
}

// serve does what stands before every handler, and calls it.
func (s *site) serve(w http.ResponseWriter, r *request, row route) error {
	if !row.open {
		if err := s.identify(r); err != nil {
			return err
		}
		if err := s.rates.take(r.caller.Client); err != nil {
			return err
		}
	}
	if err := s.plain(r); err != nil {
		return err
	}
	if row.methods == nil {
		return errNoSuchAddress()
	}
	for _, m := range row.methods {
		if m.name == r.Method {
			r.limit = m.limit
			if err := r.checkBody(); err != nil {
				return err
			}
			return m.serve(w, r)
		}
	}
	names := make([]string, len(row.methods))
	for i, m := range row.methods {
		names[i] = m.name
	}
	w.Header().Set("Allow", strings.Join(names, ", "))
	return errMethod()
}
