package pluginhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const (
	maxPages       = 64       // requests at once to one plugin
	maxPageHeaders = 32 << 10 // bytes of the headers of a request, and of an answer
	handoverLife   = time.Minute
)

// pages is the host's way to the pages of one launch of a plugin. Each request
// has a connection of its own: then none is left when the plugin ends, and none
// carries the answer to another request.
type pages struct {
	slots chan struct{}
	turn  chan struct{} // room for one who makes the plugin listen
	key   []byte        // of this launch; nil until the plugin listens
	plain *http.Transport
}

func newPages() *pages {
	return &pages{slots: make(chan struct{}, maxPages), turn: make(chan struct{}, 1)}
}

// Page passes a request to a plugin's own pages, and returns the plugin's
// answer as it is: nothing in it is to be trusted. The caller closes its body.
//
// Of r only the method, the path and query as the plugin is to see them, the
// body and those headers count that a plugin may see. prefix is the path in
// front of the plugin's. The plugin is told that actor, nil for nobody, sends
// the request.
//
// The errors are ErrNotFound for a plugin without pages, ErrInvalid for a
// request that is too large to pass on, and ErrUnavailable for a plugin that
// does not answer.
func (h *Host) Page(plugin, prefix string, actor secrets.Actor, r *http.Request) (*http.Response, error) {
	l, giveBack, err := h.pagesOf(plugin)
	if err != nil {
		return nil, err
	}
	select {
	case l.hooks.pages.slots <- struct{}{}:
	default:
		giveBack()
		return nil, fmt.Errorf("%w: the plugin has too many requests to answer", secrets.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timings.Page)
	done := func() {
		cancel()
		<-l.hooks.pages.slots
		giveBack()
	}
	response, err := h.page(ctx, l, prefix, actor, r)
	if err != nil {
		done()
		return nil, err
	}
	response.Body = &pageBody{ReadCloser: response.Body, done: done}
	return response, nil
}

// pagesOf borrows the launch that serves a plugin's pages.
func (h *Host) pagesOf(plugin string) (l *launch, giveBack func(), err error) {
	s, err := h.find(plugin)
	if err != nil {
		return nil, nil, err
	}
	if l, giveBack := s.offering(vault.HookHTTP); l != nil {
		return l, giveBack, nil
	}
	if s.serving.Load() == nil && h.cfg.Vault.MayServe(plugin, vault.HookHTTP) {
		return nil, nil, fmt.Errorf("%w: the plugin is not running", secrets.ErrUnavailable)
	}
	return nil, nil, fmt.Errorf("%w: the plugin has no pages", secrets.ErrNotFound)
}

func (h *Host) page(ctx context.Context, l *launch, prefix string, actor secrets.Actor, r *http.Request) (*http.Response, error) {
	if err := l.openPages(ctx, prefix); err != nil {
		return nil, fmt.Errorf("%w: the pages of the plugin %s: %w", secrets.ErrUnavailable, l.name, err)
	}
	out, err := h.pageRequest(ctx, l, actor, r)
	if err != nil {
		return nil, err
	}
	response, err := l.hooks.pages.plain.RoundTrip(out)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, tooLarge
	}
	if err == nil && response.StatusCode < http.StatusOK { // such as a change of protocol
		_ = response.Body.Close()
		err = errors.New("its answer is no page")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it did not answer within %s", h.cfg.Timings.Page)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the pages of the plugin %s: %s", secrets.ErrUnavailable, l.name, l.runner.journal.redactor.fit(err.Error(), maxReason))
	}
	return response, nil
}

// openPages asks the plugin to serve its pages, unless it does so already.
func (l *launch) openPages(ctx context.Context, prefix string) error {
	p := l.hooks.pages
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.key != nil {
		return nil
	}
	folder := l.runner.folder()
	address, key := filepath.Join(folder, "http.sock"), make([]byte, 32)
	rand.Read(key) // never fails
	_, err := pluginpb.NewHttpClient(l.conn).Listen(ctx, &pluginpb.ListenRequest{Address: address, Key: key, Prefix: prefix})
	if err != nil {
		return l.explain("Listen", err)
	}
	p.plain = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return l.dialPages(ctx, address, folder)
		},
		DisableKeepAlives:      true,
		DisableCompression:     true, // what the plugin compressed stays so
		MaxResponseHeaderBytes: maxPageHeaders,
	}
	p.key = key
	return nil
}

// dialPages connects to the plugin's pages and to nobody else. The plugin may
// put anything in place of its socket; what counts is who is at the other end.
func (l *launch) dialPages(ctx context.Context, address, folder string) (net.Conn, error) {
	if err := checkAddress("unix", address, folder); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	if err != nil {
		return nil, errors.New("nothing answers at its socket")
	}
	if err := checkPeer(conn.(*net.UnixConn), l.runner.process()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// pageRequest makes the request for the plugin: all of it is written here, and
// nothing is copied that is not known to be harmless or granted.
func (h *Host) pageRequest(ctx context.Context, l *launch, actor secrets.Actor, r *http.Request) (*http.Request, error) {
	out := (&http.Request{
		Method:        r.Method,
		URL:           &url.URL{Scheme: "http", Host: pluginwire.Authority, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:          pluginwire.Authority,
		Header:        http.Header{},
		Body:          r.Body,
		ContentLength: r.ContentLength,
	}).WithContext(ctx)
	size := 0
	for name, value := range granted(r.Header, slices.Concat(harmlessHeaders(), h.cfg.Grants[l.name].Headers)) {
		out.Header.Set(name, value)
		size += len(name) + len(value)
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "") // else net/http names itself
	}
	handed, err := h.handed(l.name, actor)
	if err != nil {
		return nil, err
	}
	signed, err := pluginwire.Handover{
		Actor: actor, Token: handed.GetToken(), Method: out.Method, Path: out.URL.RequestURI(), Expires: time.Now().Add(handoverLife),
	}.Sign(l.hooks.pages.key)
	if err != nil {
		return nil, err
	}
	if size+len(signed)+len(out.URL.RequestURI()) > maxPageHeaders {
		return nil, fmt.Errorf("%w: the headers of the request are too large to pass on", secrets.ErrInvalid)
	}
	out.Header.Set(pluginwire.HandoverHeader, signed)
	return out, nil
}

// harmlessHeaders say nothing about who sends a request.
func harmlessHeaders() []string {
	return []string{
		"accept", "accept-encoding", "accept-language", "content-encoding", "content-language", "content-type", "range", "user-agent",
	}
}

// pageBody gives back the request's slot when it is closed.
type pageBody struct {
	io.ReadCloser
	once sync.Once
	done func()
}

// Close closes the body.
func (b *pageBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.done)
	return err
}
