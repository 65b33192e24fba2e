package ui

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// headers sets the security headers of every response.
func (s *site) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", s.csp)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		// Not no-referrer: with it browsers send "Origin: null" with a form,
		// and on plain HTTP that header is all the origin check has.
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// contentSecurityPolicy allows nothing but our own files and the origins of
// the administrator's style sheets.
func contentSecurityPolicy(css []config.Asset) string {
	styles := []string{"'self'"}
	for _, sheet := range css {
		if o := sheetOrigin(sheet.URL); o != "" && !slices.Contains(styles, o) {
			styles = append(styles, o)
		}
	}
	return "default-src 'none'; style-src " + strings.Join(styles, " ") +
		"; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

var hostname = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// sheetOrigin is the origin of a style sheet on another host, else "".
func sheetOrigin(text string) string {
	u, err := url.Parse(text)
	if err != nil || !hostname.MatchString(u.Host) {
		return ""
	}
	switch u.Scheme {
	case "":
		return u.Host
	case "http", "https":
		return u.Scheme + "://" + u.Host
	}
	return ""
}
