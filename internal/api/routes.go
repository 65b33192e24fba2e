package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// handler answers one request, or returns an error and writes nothing.
type handler func(w http.ResponseWriter, r *request) error

// route is one row of the table of addresses.
type route struct {
	path    string // as openapi.json has it; {name} is one segment that is not empty
	label   string // in the log of the host and its figures
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
		// First, because it is asked most: they are compared one after the other.
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

// labelled is the table with the labels of its rows.
func (s *site) labelled() []route {
	all := s.table()
	for i := range all {
		all[i].label = "api " + all[i].path
	}
	return all
}

// bases are what the paths of the table stand below: both forms are served, as
// pages are.
func bases(baseURL string) []string {
	return slices.Compact([]string{strings.TrimSuffix(baseURL, "/") + Prefix + "v1", Prefix + "v1"})
}

// find returns the row of an escaped path, and the segment that is its {name}.
// The path is taken as it was sent: decoding or cleaning it would make other
// names of it.
func (s *site) find(path string) (row *route, name string) {
	for _, base := range s.bases {
		rest, below := strings.CutPrefix(path, base)
		if !below {
			continue
		}
		for i := range s.rows {
			if name, ok := s.rows[i].match(rest); ok {
				return &s.rows[i], name
			}
		}
	}
	return &route{label: "api none"}, ""
}

// match reports whether a path is that of the row, and which segment its {name}
// is, if it has one.
func (r *route) match(path string) (name string, ok bool) {
	before, after, named := strings.Cut(r.path, "{name}")
	if !named {
		return "", path == r.path
	}
	name, ok = strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, after)
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", false
	}
	return name, true
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	began := time.Now()
	row, name := s.find(hr.URL.EscapedPath())
	r := newRequest(w, hr, name)
	a := &r.answer
	s.setHeaders(a.Header(), r)
	defer func() { s.observed(a, r, row, time.Since(began)) }() // also of a connection that is cut off
	if err := s.guard(a, r, row); err != nil {
		s.fail(a, r, err)
	}
}

// setHeaders sets what every answer has. The lists are shared by all of them:
// http.Header replaces a list, and changes none.
func (s *site) setHeaders(h http.Header, r *request) {
	for _, header := range s.headers {
		h[header.name] = header.values
	}
	h["X-Request-Id"] = []string{r.id}
}

// header is one of an answer, its name in canonical form.
type header struct {
	name   string
	values []string
}

// headers are those of every answer; one that is not JSON says so itself.
func headers() []header {
	return []header{
		{"Content-Type", []string{jsonType}},
		{"Cache-Control", []string{"no-store"}},
	}
}

// setForBrowsers sets what answers have besides that a page of another site could
// have a browser ask for: those without a token. Of the others it gets none, for no
// browser sends a token by itself.
func setForBrowsers(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// observed tells about a request that has ended. The log gets the row of the
// table, for a path may hold anything.
func (s *site) observed(a *answer, r *request, row *route, took time.Duration) {
	s.Observe(row.label, a.status, took)
	if !s.Log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	s.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("request", r.id), slog.String("method", r.Method), slog.String("route", row.label),
		slog.String("client", r.caller.Client), slog.Int("status", a.status), slog.Int64("us", took.Microseconds()), slog.String("remote", r.caller.Remote))
}

// serve does what stands before every handler, and calls it.
func (s *site) serve(w http.ResponseWriter, r *request, row *route) error {
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
