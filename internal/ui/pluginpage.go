package ui

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
)

// The pages of plugins, under /-/plugins/NAME/. They have this host's address,
// so a browser would let them do whatever the pages of this host may do: read
// them, and send their forms with the cookie of the administrator who looks at
// them. Three things keep them from it.
//
//   - Their policy. Without scripts a page can do no more than send forms, and
//     these only to its own plugin. A page that asks for scripts is put into an
//     origin of its own, from which the browser sends no cookie, and whose
//     forms the origin check refuses.
//   - Nothing that they serve can be run by another page: the types of scripts
//     are changed.
//   - Of their headers only those go out that describe the body. Without that
//     they could set cookies, sign people out, or answer for other addresses.
//
// httputil.ReverseProxy would pass on what comes before and after the answer,
// early hints and trailers, and takes headers away where here they are given.

// pluginPage answers with a plugin's own page.
func (s *site) pluginPage(w http.ResponseWriter, r *request) error {
	if err := s.require(r, access.ViewInstance); err != nil {
		return err
	}
	plugin := segment(r.path, 2)
	prefix := "/-/plugins/" + plugin
	below := strings.TrimPrefix(r.path, prefix)
	if !passable(below) {
		return s.notFound(w, r)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE")
		return &problem{status: http.StatusMethodNotAllowed, text: "Method not allowed"}
	}
	out, err := s.pluginRequest(w, r, below)
	if err != nil {
		return err
	}
	response, err := s.Hooks.Page(plugin, strings.TrimSuffix(s.url(prefix), "/"), r.caller.Actor, out)
	if err != nil {
		return s.pageProblem(w, r, plugin, err)
	}
	defer response.Body.Close()
	return s.passOn(w, r, plugin, response)
}

// passable tells whether a raw path is one below the plugin's prefix. Dots could
// lead out of it in the eyes of whoever resolves them later.
func passable(below string) bool {
	for part := range strings.FieldsFuncSeq(strings.TrimPrefix(below, "/"), func(c rune) bool { return c == '/' || c == '\\' }) {
		decoded, err := url.PathUnescape(part)
		if err != nil || slices.ContainsFunc(strings.FieldsFunc(decoded, func(c rune) bool { return c == '/' || c == '\\' }), isDots) {
			return false
		}
	}
	return strings.HasPrefix(below, "/")
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// pluginRequest is the request as the plugin is to get it.
func (s *site) pluginRequest(w http.ResponseWriter, r *request, below string) (*http.Request, error) {
	limit := s.Settings.MaxPostBodyBytes
	if limit > 0 && r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	out := r.Clone(r.Context())
	out.URL = &url.URL{RawPath: escapeRaw(below), RawQuery: escapeQuery(r.URL.RawQuery)}
	var err error
	if out.URL.Path, err = url.PathUnescape(out.URL.RawPath); err != nil {
		return nil, &problem{status: http.StatusBadRequest, text: "The address is malformed"}
	}
	switch {
	case r.ContentLength == 0:
		out.Body = http.NoBody
	case limit > 0:
		out.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	return out, nil
}

// escapeQuery escapes what has no place in a query but may come over the wire.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// pageProblem puts an error of Hooks.Page into words. The reason is for the
// log: it would mean little to most who come here.
func (s *site) pageProblem(w http.ResponseWriter, r *request, plugin string, err error) error {
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return tooLarge(tooMuch.Limit)
	}
	switch {
	case errors.Is(err, secrets.ErrNotFound):
		return s.notFound(w, r)
	case errors.Is(err, secrets.ErrUnavailable):
		s.Log.Warn("a page of a plugin failed", "plugin", plugin, "method", r.Method, "path", escapeRaw(r.path), "error", err)
		return &problem{
			status: http.StatusServiceUnavailable,
			text:   "The plugin " + plugin + " does not answer.",
			hint:   "Try again in a moment. The page of plugins says whether it is running.",
		}
	}
	return err
}

// passOn writes a plugin's answer, with this host's word for what it may do.
func (s *site) passOn(w http.ResponseWriter, r *request, plugin string, response *http.Response) error {
	h := w.Header()
	if location := response.Header.Get("Location"); location != "" {
		address, err := s.pluginLocation(r, plugin, location)
		if err != nil {
			s.Log.Warn("a page of a plugin leads where it may not", "plugin", plugin, "path", escapeRaw(r.path), "reason", err)
			return &problem{status: http.StatusBadGateway, text: "The plugin " + plugin + " leads to an address outside its pages."}
		}
		h.Set("Location", address)
	}
	for _, name := range describingHeaders() {
		if value := response.Header.Get(name); value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Content-Type", harmlessType(response.Header.Get("Content-Type")))
	h.Set("Content-Security-Policy", s.pluginPolicy(r, plugin, wantsScripts(response.Header)))
	// Browsers refuse a page that is both in a sandbox and cut off from others.
	h.Del("Cross-Origin-Opener-Policy")
	if response.ContentLength >= 0 {
		h.Set("Content-Length", fmt.Sprint(response.ContentLength))
	}
	w.WriteHeader(response.StatusCode)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := stream(w, response.Body); err != nil {
		s.Log.Warn("a page of a plugin ended early", "plugin", plugin, "path", escapeRaw(r.path))
		panic(http.ErrAbortHandler) // so that nobody takes it for the whole page
	}
	return nil
}

// describingHeaders are the headers of a plugin that go out as they are.
func describingHeaders() []string {
	return []string{"Accept-Ranges", "Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Retry-After"}
}

// harmlessType is the type of a plugin's answer, unless another page could run
// it: pages of this host may run scripts that have its address.
func harmlessType(text string) string {
	if text == "" {
		return textType
	}
	kind, params, err := mime.ParseMediaType(text)
	switch {
	case err != nil, strings.HasPrefix(kind, "multipart/"), strings.HasPrefix(kind, "message/"):
		return "application/octet-stream" // the parts of the latter have headers of their own
	case strings.Contains(kind, "script"), strings.Contains(kind, "wasm"):
		return textType
	}
	if charset := params["charset"]; charsetName.MatchString(charset) {
		return mime.FormatMediaType(kind, map[string]string{"charset": charset})
	}
	return kind
}

var charsetName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// wantsScripts tells whether a plugin asks for the policy under which a page
// may run scripts.
func wantsScripts(header http.Header) bool {
	for directive := range strings.SplitSeq(header.Get("Content-Security-Policy"), ";") {
		if words := strings.Fields(strings.ToLower(directive)); len(words) > 0 && words[0] == "sandbox" {
			return slices.Contains(words, "allow-scripts")
		}
	}
	return false
}

// pluginPolicy is the Content-Security-Policy of a plugin's page.
func (s *site) pluginPolicy(r *request, plugin string, scripts bool) string {
	own := "'none'" // a host that cannot be named in a policy, such as an IPv6 address
	if hostname.MatchString(r.Host) {
		own = s.scheme(r.Request) + "://" + r.Host + s.url("/-/plugins/"+plugin+"/")
	}
	const closed = "; base-uri 'none'; frame-ancestors 'none'; form-action "
	if scripts {
		return "sandbox allow-scripts allow-forms; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:" + closed + own
	}
	return "sandbox allow-same-origin allow-forms allow-downloads; default-src 'none'; style-src 'unsafe-inline' " + own +
		"; img-src data: " + own + "; font-src " + own + "; media-src " + own + closed + own
}

// pluginLocation is where a plugin's redirect leads: to one of its own pages,
// named with or without the prefix, or to another host. Anything on this host
// would be reached with the rights of whoever follows it.
func (s *site) pluginLocation(r *request, plugin, location string) (string, error) {
	target, err := url.Parse(location)
	if err != nil || strings.ContainsAny(location, "\\ ") {
		return "", errors.New("its Location is no address")
	}
	prefix := s.url("/-/plugins/" + plugin)
	if target.Scheme != "" || target.Host != "" {
		if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" || target.User != nil {
			return "", errors.New("its Location is not on the web")
		}
		if !strings.EqualFold(target.Hostname(), (&url.URL{Host: r.Host}).Hostname()) {
			return target.String(), nil
		}
		if !strings.HasPrefix(target.EscapedPath()+"/", prefix+"/") {
			return "", errors.New("its Location is on this host")
		}
	}
	path := target.EscapedPath()
	if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
		path = cmp.Or(rest, "/")
	}
	below := &url.URL{Path: "/"}
	if base, err := url.Parse(strings.TrimPrefix(r.path, "/-/plugins/"+plugin)); err == nil {
		below = base
	}
	local, err := below.Parse(path)
	if err != nil || local.Host != "" || !passable(local.EscapedPath()) {
		return "", errors.New("its Location is not one of its pages")
	}
	address := prefix + local.EscapedPath()
	if target.RawQuery != "" {
		address += "?" + target.RawQuery
	}
	if target.Fragment != "" {
		address += "#" + target.EscapedFragment()
	}
	return address, nil
}

// stream copies a body as it comes.
func stream(w http.ResponseWriter, body io.Reader) error {
	flusher := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return nil // who asked has gone
			}
			_ = flusher.Flush() // only a writer that keeps everything cannot
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
