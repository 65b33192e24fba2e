package ui

import (
	"net/http"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// Check is one thing that a host needs to do its work.
type Check struct {
	Name string
	OK   bool
	// Word says how it stands. Strangers read it: it names no file, secret or
	// plugin.
	Word string
}

// healthz answers as long as the process does. It looks at nothing: what a
// restart would not put right is no reason for one.
func (s *site) healthz(w http.ResponseWriter, r *request) error {
	s.writeJSON(w, r, http.StatusOK, object{{"ok", true}})
	return nil
}

// readyz says whether this host can do its work, to whoever asks.
func (s *site) readyz(w http.ResponseWriter, r *request) error {
	answer, status := object{{"ok", true}}, http.StatusOK
	for _, check := range s.Readiness(r.Context()) {
		answer = append(answer, member{check.Name, check.Word})
		if !check.OK {
			answer[0].value, status = false, http.StatusServiceUnavailable
		}
	}
	writeBody(w, r, status, jsonType, []byte(readableJSON(answer)))
	return nil
}

// metricsPage gives the figures to a scraper that may have them.
func (s *site) metricsPage(w http.ResponseWriter, r *request) error {
	if s.Metrics == nil {
		return s.notFound(w, r)
	}
	if err := s.require(r, access.ViewMetrics); err != nil {
		return err
	}
	s.Metrics.ServeHTTP(w, r.Request)
	return nil
}
