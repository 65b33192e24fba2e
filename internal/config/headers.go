package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// headerName is what a header may be called.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")

// headers reads a list of names of headers, in lower case, each once.
func headers(v any) ([]string, error) {
	names, err := texts(v)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		names[i] = strings.ToLower(name)
		if !headerName.MatchString(name) || ofOneConnection(names[i]) {
			return nil, errors.New("not a header to pass on")
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// ofOneConnection tells whether a header belongs to a connection or to the
// form of a request. Passed on, it would change what the request is.
func ofOneConnection(name string) bool {
	switch name {
	case "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "datasette-secrets-")
}
