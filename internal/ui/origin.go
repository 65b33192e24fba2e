package ui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// sameOrigin refuses a request that would change something and was sent by a
// page of another site. It decides as Datasette does, so that what one accepts
// the other accepts: net/http's CrossOriginProtection differs in the scheme,
// default ports, bearer tokens and repeated headers.
// See https://words.filippo.io/csrf/ for the idea.
func (s *site) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := s.foreign(r); reason != "" {
			foreign := &request{Request: r, path: rawPath(r)}
			foreign.note(w)
			s.fail(w, foreign, &foreignError{reason})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreignError is a request that another site's page sent.
type foreignError struct{ reason string }

func (e *foreignError) Error() string { return "form origin check failed: " + e.reason }

// foreign says why r counts as sent by another site, or "" when it does not.
func (s *site) foreign(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return ""
	}
	// A bearer token is no ambient credential: a browser does not add it by
	// itself. With a cookie beside it, the cookie might be what decides.
	if isBearer(lastHeader(r, "Authorization")) && lastHeader(r, "Cookie") == "" {
		return ""
	}
	switch site := lastHeader(r, "Sec-Fetch-Site"); site {
	case "":
		return s.foreignOrigin(r)
	case "same-origin", "none":
		return ""
	default:
		return fmt.Sprintf("Sec-Fetch-Site was %s, expected 'same-origin' or 'none'", pythonRepr(site))
	}
}

// foreignOrigin decides by the Origin header, for browsers that do not send
// Sec-Fetch-Site: all of them on plain HTTP in a local network.
func (s *site) foreignOrigin(r *http.Request) string {
	header := lastHeader(r, "Origin")
	if header == "" {
		return "" // not a browser
	}
	got, err1 := parseOrigin(header)
	want, err2 := parseOrigin(s.scheme(r) + "://" + r.Host)
	switch {
	case err1 != nil || err2 != nil:
		return fmt.Sprintf("Malformed Origin %s or Host %s", pythonRepr(header), pythonRepr(r.Host))
	case got != want:
		return fmt.Sprintf("Origin %s does not match Host %s", pythonRepr(header), pythonRepr(r.Host))
	}
	return ""
}

type origin struct {
	scheme, host string
	port         int
}

func parseOrigin(text string) (origin, error) {
	u, err := url.Parse(text)
	if err != nil {
		return origin{}, errors.New("malformed origin")
	}
	o := origin{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname())}
	if o.scheme == "" || o.host == "" {
		return origin{}, errors.New("origin without scheme or host")
	}
	if o.port, err = portOf(u.Port(), o.scheme); err != nil {
		return origin{}, err
	}
	return o, nil
}

func portOf(text, scheme string) (int, error) {
	if text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		return int(port), err
	}
	switch scheme {
	case "http", "ws":
		return 80, nil
	case "https", "wss":
		return 443, nil
	}
	return 0, errors.New("scheme without a default port")
}

// scheme is how the browser sees this host.
func (s *site) scheme(r *http.Request) string {
	if s.secure(r) {
		return "https"
	}
	return "http"
}

// secure reports whether the browser's connection is TLS: with us, or with the
// proxy in front of us that the setting force_https_urls tells of.
func (s *site) secure(r *http.Request) bool {
	return s.Settings.ForceHTTPSURLs || r.TLS != nil
}

func isBearer(authorization string) bool {
	words := strings.Fields(authorization)
	return len(words) > 0 && strings.EqualFold(words[0], "bearer")
}

// lastHeader returns the last value of a header that may be repeated.
func lastHeader(r *http.Request, name string) string {
	values := r.Header.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
