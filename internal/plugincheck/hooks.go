package plugincheck

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// The checks of what a plugin may offer besides.

const (
	maxTried = 3 // values that a validator is given

	somebody = "alice"         // an actor's id
	noToken  = "no-real-token" // proves nothing to the fake host
)

// someActor is an actor for hooks that ask for one.
func someActor() *pluginpb.Actor {
	return &pluginpb.Actor{Json: []byte(`{"id": "` + somebody + `"}`), Token: noToken}
}

func notOffered(service string) verdict { return skipped("it does not offer %s", service) }

// checkValidator gives the program made-up values, which no service takes. It
// is to say so, and not to fail.
func checkValidator(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if !l.offers(pluginpb.Validator_ServiceDesc) {
			return notOffered("Validator")
		}
		declared := l.host.declared()
		if len(declared) == 0 {
			return skipped("it declares no secret whose value could be tried")
		}
		client := pluginpb.NewValidatorClient(l.conn)
		for _, name := range declared[:min(len(declared), maxTried)] {
			value := l.host.canaries.value(name, 1)
			l.host.canaries.gave()
			response, err := client.TestSecret(ctx, &pluginpb.TestSecretRequest{Name: name, Value: []byte(value)})
			if err != nil {
				v := failure(l.explain("TestSecret", err))
				v.fix = "answer with ok = false and a sentence when a value cannot be tried, as without a network"
				return v
			}
			message := response.GetMessage()
			if !utf8.ValidString(message) || strings.ContainsAny(message, "\n\r") || len(message) > pluginwire.MaxTestMessage {
				return failed("its message about a value is not one short line of text", fmt.Sprintf("answer with one sentence of at most %d bytes", pluginwire.MaxTestMessage))
			}
		}
		return passed()
	})
}

// checkMenu asks for links, for somebody and for nobody.
func checkMenu(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if !l.offers(pluginpb.Menu_ServiceDesc) {
			return notOffered("Menu")
		}
		for _, actor := range []*pluginpb.Actor{someActor(), nil, {}} {
			response, err := pluginpb.NewMenuClient(l.conn).MenuLinks(ctx, &pluginpb.MenuLinksRequest{Actor: actor})
			if err != nil {
				return failure(l.explain("MenuLinks", err))
			}
			for _, link := range response.GetLinks() {
				if err := pluginwire.CheckLink(link.GetHref(), link.GetLabel()); err != nil {
					return failed(fmt.Sprintf("hosts leave out its link %q to %q", clean(link.GetLabel(), maxSample), clean(link.GetHref(), maxSample)), err.Error())
				}
			}
			if n := len(response.GetLinks()); n > pluginwire.MaxLinks {
				return failed(fmt.Sprintf("it has %d links", n), fmt.Sprintf("hosts show at most %d", pluginwire.MaxLinks))
			}
		}
		return passed()
	})
}

func checkActors(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if !l.offers(pluginpb.Actors_ServiceDesc) {
			return notOffered("Actors")
		}
		for _, ids := range [][]string{{somebody, "nobody-has-this-id"}, nil} {
			response, err := pluginpb.NewActorsClient(l.conn).ActorsFromIDs(ctx, &pluginpb.ActorsFromIDsRequest{Ids: ids})
			if err != nil {
				return failure(l.explain("ActorsFromIDs", err))
			}
			for id, actor := range response.GetActors() {
				if _, err := pluginwire.ReadKnown(id, actor); err != nil {
					return failed(fmt.Sprintf("hosts do not take what it knows about %q", clean(id, maxSample)), err.Error()+"; leave out whom you do not know")
				}
			}
		}
		return passed()
	})
}

// checkAuthenticator asks who sends a request without any header. Whoever is
// named then would be everybody.
func checkAuthenticator(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if !l.offers(pluginpb.Authenticator_ServiceDesc) {
			return notOffered("Authenticator")
		}
		response, err := pluginpb.NewAuthenticatorClient(l.conn).ActorFromRequest(ctx, &pluginpb.ActorFromRequestRequest{Method: "GET", Path: "/"})
		if err != nil {
			return failure(l.explain("ActorFromRequest", err))
		}
		if len(response.GetActorJson()) > 0 {
			return failed("it names an actor for a request that says nothing about its sender", "name an actor only when a header proves who it is")
		}
		return passed()
	})
}
