package pluginhost

import (
	"net/http"
	"slices"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// granted are the headers of a request that the administrator lets a plugin
// see, by their names in lower case. The host's own cookies and tokens are
// never among them: with these the plugin could sign in as their owner.
func granted(header http.Header, names []string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		values := header.Values(name)
		switch name {
		case "cookie":
			values = foreignCookies(values)
		case "authorization":
			values = foreignCredentials(values)
		}
		if len(values) > 0 {
			all[name] = strings.Join(values, ", ")
		}
	}
	return all
}

// foreignCookies are the cookies that are not the host's, as one line. They
// are told apart in the way in which package ui reads its own.
func foreignCookies(lines []string) []string {
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			name, _, _ := strings.Cut(part, "=")
			if part != "" && !strings.HasPrefix(strings.TrimSpace(name), "ds_") {
				kept = append(kept, part)
			}
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return []string{strings.Join(kept, "; ")}
}

// foreignCredentials leaves out what may be one of the host's tokens.
func foreignCredentials(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		return strings.Contains(value, signing.TokenPrefix)
	})
}
