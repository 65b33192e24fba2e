package plugintest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// The methods below call the plugin's optional interfaces as a host does. The
// test fails at once when the plugin does not implement the one that is called.
// An error of the plugin arrives as "internal error", for that is all that a
// host learns; the plugin's own words are in [Host.Log]. An answer that a host
// would not take is an error that says why.

// TestSecret tries out a value with the plugin's [pluginapi.Validator].
func (h *Host) TestSecret(name, value string) (pluginapi.TestResult, error) {
	h.tb.Helper()
	h.offers(pluginpb.Validator_ServiceDesc.ServiceName)
	ctx, cancel := call()
	defer cancel()
	r, err := pluginpb.NewValidatorClient(h.conn).TestSecret(ctx, &pluginpb.TestSecretRequest{Name: name, Value: []byte(value)})
	if err != nil {
		return pluginapi.TestResult{}, pluginwire.FromStatus(err)
	}
	result := pluginapi.TestResult{OK: r.GetOk(), Message: r.GetMessage()}
	if value != "" && strings.Contains(result.Message, value) {
		return result, errors.New("plugintest: the message holds the value; it must never leave the plugin")
	}
	if len(result.Message) > pluginwire.MaxTestMessage {
		return result, fmt.Errorf("plugintest: the message has %d bytes, of which a host shows %d", len(result.Message), pluginwire.MaxTestMessage)
	}
	return result, nil
}

// MenuLinks asks the plugin's [pluginapi.MenuProvider] for its links, for an
// actor who may be nil.
func (h *Host) MenuLinks(actor pluginapi.Actor) ([]pluginapi.MenuLink, error) {
	h.tb.Helper()
	h.offers(pluginpb.Menu_ServiceDesc.ServiceName)
	ctx, cancel := call()
	defer cancel()
	r, err := pluginpb.NewMenuClient(h.conn).MenuLinks(ctx, &pluginpb.MenuLinksRequest{Actor: h.handover(actor)})
	if err != nil {
		return nil, pluginwire.FromStatus(err)
	}
	var links []pluginapi.MenuLink
	for _, link := range r.GetLinks() {
		if err := pluginwire.CheckLink(link.GetHref(), link.GetLabel()); err != nil {
			return nil, fmt.Errorf("plugintest: link %q to %q: %w", link.GetLabel(), link.GetHref(), err)
		}
		links = append(links, pluginapi.MenuLink{Href: link.GetHref(), Label: link.GetLabel()})
	}
	if len(links) > pluginwire.MaxLinks {
		return links, fmt.Errorf("plugintest: %d links, of which a host shows %d", len(links), pluginwire.MaxLinks)
	}
	return links, nil
}

// ActorsFromIDs asks the plugin's [pluginapi.ActorsFromIDs] who these are.
func (h *Host) ActorsFromIDs(ids ...string) (map[string]pluginapi.Actor, error) {
	h.tb.Helper()
	h.offers(pluginpb.Actors_ServiceDesc.ServiceName)
	ctx, cancel := call()
	defer cancel()
	r, err := pluginpb.NewActorsClient(h.conn).ActorsFromIDs(ctx, &pluginpb.ActorsFromIDsRequest{Ids: ids})
	if err != nil {
		return nil, pluginwire.FromStatus(err)
	}
	actors := map[string]pluginapi.Actor{}
	for id, data := range r.GetActors() {
		if actors[id], err = pluginwire.ReadKnown(id, data); err != nil {
			return nil, fmt.Errorf("plugintest: the actor %q: %w", id, err)
		}
	}
	return actors, nil
}

// ActorFromRequest asks the plugin's [pluginapi.Authenticator] who sent a
// request. The names of headers are in lower case.
func (h *Host) ActorFromRequest(r pluginapi.RequestMeta) (pluginapi.Actor, error) {
	h.tb.Helper()
	h.offers(pluginpb.Authenticator_ServiceDesc.ServiceName)
	ctx, cancel := call()
	defer cancel()
	response, err := pluginpb.NewAuthenticatorClient(h.conn).ActorFromRequest(ctx,
		&pluginpb.ActorFromRequestRequest{Method: r.Method, Path: r.Path, Headers: r.Headers})
	if err != nil {
		return nil, pluginwire.FromStatus(err)
	}
	actor, err := pluginwire.ReadSender(response.GetActorJson())
	if err != nil {
		return nil, fmt.Errorf("plugintest: a host takes this answer for nobody: %w", err)
	}
	return actor, nil
}

// HTTP sends a request to the plugin's [pluginapi.HTTPHandler], on behalf of an
// actor who may be nil. The address is a path as the plugin sees it, or a URL
// of which only that counts. The body of the answer ends with the test.
//
//	r, _ := http.NewRequest("GET", "/forecast?city=Oslo", nil)
//	response := h.HTTP(pluginapi.Actor{"id": "ada"}, r)
func (h *Host) HTTP(actor pluginapi.Actor, r *http.Request) *http.Response {
	h.tb.Helper()
	h.offers(pluginpb.Http_ServiceDesc.ServiceName)
	h.must("Listen", h.pages.open(h))
	handed := h.handover(actor)
	signed, err := pluginwire.Handover{
		Actor: actor, Token: handed.GetToken(), Method: r.Method, Path: r.URL.RequestURI(), Expires: time.Now().Add(time.Minute),
	}.Sign(h.pages.key)
	h.must("HTTP", err)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", pluginwire.Authority, pluginwire.Authority
	r.Header.Set(pluginwire.HandoverHeader, signed)
	response, err := h.pages.client.RoundTrip(r)
	h.must("HTTP", err)
	h.tb.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// offers ends the test of a hook that the plugin does not have.
func (h *Host) offers(service string) {
	h.tb.Helper()
	if !slices.Contains(h.offered, service) {
		h.tb.Fatalf("plugintest: the plugin does not offer %s", service)
	}
}

// handover is an actor as the plugin is given it.
func (h *Host) handover(actor pluginapi.Actor) *pluginpb.Actor {
	h.tb.Helper()
	if actor == nil {
		return &pluginpb.Actor{}
	}
	data, err := json.Marshal(actor)
	h.must("an actor", err)
	return &pluginpb.Actor{Json: data, Token: h.fake.token(actor.ID())}
}

func call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// pages is the host's end of the plugin's pages, in memory.
type pages struct {
	key    []byte
	socket *bufconn.Listener
	client *http.Transport
	opened sync.Once
	failed error
}

func newPages() *pages {
	p := &pages{key: []byte(rand.Text()), socket: bufconn.Listen(1 << 20)}
	p.client = &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return p.socket.DialContext(ctx) },
		DisableKeepAlives: true,
	}
	return p
}

// listen is what the plugin's session listens on.
func (p *pages) listen(string) (net.Listener, error) { return p.socket, nil }

// open asks the plugin to serve, once.
func (p *pages) open(h *Host) error {
	p.opened.Do(func() {
		ctx, cancel := call()
		defer cancel()
		_, p.failed = pluginpb.NewHttpClient(h.conn).Listen(ctx,
			&pluginpb.ListenRequest{Address: "bufconn", Key: p.key, Prefix: "/-/plugins/" + PluginName})
	})
	return p.failed
}
