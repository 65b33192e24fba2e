package ui

import (
	"net/http"
	"net/url"
	"strings"
)

// A secret's name is the raw path segment, as Datasette reads it: foo%20bar is
// a secret whose name has a percent sign in it. So the path is never decoded:
// rawPath recovers what the client sent, and routes match on it.

// normalize takes base_url off the path, if it is there (both forms are
// served), and gives gorilla/mux an URL whose escaped path has the same
// segments as the raw path.
func (s *site) normalize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := s.localPath(rawPath(r))
		escaped := escapeRaw(path)
		decoded, err := url.PathUnescape(escaped)
		if err != nil {
			decoded = escaped // cannot happen: net/http refuses such a request
		}
		clone := r.Clone(r.Context())
		clone.RequestURI = path
		clone.URL.Path, clone.URL.RawPath = decoded, escaped
		next.ServeHTTP(w, clone)
	})
}

// localPath is path without base_url.
func (s *site) localPath(path string) string {
	if rest, ok := strings.CutPrefix(path, s.prefix); ok {
		return "/" + rest
	}
	return path
}

// rawPath is the path as the client wrote it. RequestURI has it, unless a
// handler in front of this one changed the URL, or the request was made
// without one.
func rawPath(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	decoded, err := url.PathUnescape(raw)
	if err == nil && strings.HasPrefix(raw, "/") && decoded == r.URL.Path {
		return raw
	}
	return r.URL.EscapedPath()
}

// escapeRaw escapes what may not stand in a path but may come over the wire,
// and leaves existing escapes alone.
func escapeRaw(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; strings.IndexByte(pathBytes, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string([]byte{hexDigits[c>>4], hexDigits[c&15]})))
		}
	}
	return b.String()
}

const (
	hexDigits = "0123456789abcdef"
	pathBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + "-._~!$&'()*+,;=:@/%"
)

// cleanBase repairs a base_url without its slashes.
func cleanBase(base string) string {
	base = strings.Trim(base, "/")
	if base == "" {
		return "/"
	}
	return "/" + base + "/"
}

// url is the address of a local path such as "/-/secrets".
func (s *site) url(path string) string { return s.prefix + strings.TrimPrefix(path, "/") }

// secretURL is the address of a secret's page, and of the pages below it.
func (s *site) secretURL(name, below string) string { return s.url("/-/secrets/"+name) + below }

// linkable reports whether a link can carry this name. Datasette lets names be
// anything a path segment can be, and other programs may have stored more.
func linkable(name string) bool {
	if name == "" || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`/?#\`, r)
	})
}

// segment is the n-th segment of a raw path, counted from 0.
func segment(path string, n int) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if n >= len(parts) {
		return ""
	}
	return parts[n]
}
