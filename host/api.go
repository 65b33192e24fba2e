package host

import (
	"net/http"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/api"
)

// openAPI makes the handler of the API.
func (h *Host) openAPI(b *base) http.Handler {
	return api.Handler(api.Config{
		Vault: b.door, BaseURL: h.settings.BaseURL, TLS: h.settings.ForceHTTPSURLs, Rate: b.own.APIRate,
		Version: Version, Log: h.log, Now: time.Now, Observe: h.metrics.Request,
	})
}

// both leads to the API or to the pages.
func (h *Host) both(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.Serves(r, h.settings.BaseURL) {
			h.api.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// API serves what applications read over HTTP, and nothing else. Handler serves
// it too.
func (h *Host) API() http.Handler { return h.api }
