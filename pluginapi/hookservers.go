package pluginapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// registerHooks offers the services of the optional interfaces that the plugin
// implements. hookNames names the same ones.
func (s *Session) registerHooks(server grpc.ServiceRegistrar) {
	if validator, ok := s.plugin.(Validator); ok {
		pluginpb.RegisterValidatorServer(server, validatorServer{session: s, validator: validator})
	}
	if menu, ok := s.plugin.(MenuProvider); ok {
		pluginpb.RegisterMenuServer(server, menuServer{session: s, menu: menu})
	}
	if actors, ok := s.plugin.(ActorsFromIDs); ok {
		pluginpb.RegisterActorsServer(server, actorsServer{session: s, actors: actors})
	}
	if authenticator, ok := s.plugin.(Authenticator); ok {
		pluginpb.RegisterAuthenticatorServer(server, authenticatorServer{session: s, authenticator: authenticator})
	}
	if handler, ok := s.plugin.(HTTPHandler); ok {
		pluginpb.RegisterHttpServer(server, httpServer{session: s, handler: handler})
	}
}

func hookNames(p Plugin) []string {
	var names []string
	if _, ok := p.(Validator); ok {
		names = append(names, pluginpb.Validator_ServiceDesc.ServiceName)
	}
	if _, ok := p.(MenuProvider); ok {
		names = append(names, pluginpb.Menu_ServiceDesc.ServiceName)
	}
	if _, ok := p.(ActorsFromIDs); ok {
		names = append(names, pluginpb.Actors_ServiceDesc.ServiceName)
	}
	if _, ok := p.(Authenticator); ok {
		names = append(names, pluginpb.Authenticator_ServiceDesc.ServiceName)
	}
	if _, ok := p.(HTTPHandler); ok {
		names = append(names, pluginpb.Http_ServiceDesc.ServiceName)
	}
	return names
}

type validatorServer struct {
	pluginpb.UnimplementedValidatorServer
	session   *Session
	validator Validator
}

func (s validatorServer) TestSecret(ctx context.Context, r *pluginpb.TestSecretRequest) (*pluginpb.TestSecretResponse, error) {
	result, err := s.validator.TestSecret(ctx, r.GetName(), secrets.NewValue(string(r.GetValue())))
	if err != nil {
		return nil, s.session.refuse("test secret", err)
	}
	return &pluginpb.TestSecretResponse{Ok: result.OK, Message: result.Message}, nil
}

type menuServer struct {
	pluginpb.UnimplementedMenuServer
	session *Session
	menu    MenuProvider
}

func (s menuServer) MenuLinks(ctx context.Context, r *pluginpb.MenuLinksRequest) (*pluginpb.MenuLinksResponse, error) {
	actor, err := actorFromJSON(r.GetActor().GetJson())
	if err != nil {
		return nil, s.session.refuse("menu links", err)
	}
	links, err := s.menu.MenuLinks(withActor(ctx, actor, r.GetActor().GetToken()), actor)
	if err != nil {
		return nil, s.session.refuse("menu links", err)
	}
	response := &pluginpb.MenuLinksResponse{}
	for _, link := range links {
		response.Links = append(response.Links, &pluginpb.MenuLink{Href: link.Href, Label: link.Label})
	}
	return response, nil
}

type actorsServer struct {
	pluginpb.UnimplementedActorsServer
	session *Session
	actors  ActorsFromIDs
}

func (s actorsServer) ActorsFromIDs(ctx context.Context, r *pluginpb.ActorsFromIDsRequest) (*pluginpb.ActorsFromIDsResponse, error) {
	actors, err := s.actors.ActorsFromIDs(ctx, r.GetIds())
	if err != nil {
		return nil, s.session.refuse("actors from ids", err)
	}
	response := &pluginpb.ActorsFromIDsResponse{Actors: map[string][]byte{}}
	for id, actor := range actors {
		if actor == nil {
			continue
		}
		if response.Actors[id], err = json.Marshal(actor); err != nil {
			return nil, s.session.refuse("actors from ids", err)
		}
	}
	return response, nil
}

type authenticatorServer struct {
	pluginpb.UnimplementedAuthenticatorServer
	session       *Session
	authenticator Authenticator
}

func (s authenticatorServer) ActorFromRequest(ctx context.Context, r *pluginpb.ActorFromRequestRequest) (*pluginpb.ActorFromRequestResponse, error) {
	headers := r.GetHeaders()
	if headers == nil {
		headers = map[string]string{}
	}
	actor, err := s.authenticator.ActorFromRequest(ctx, &RequestMeta{Method: r.GetMethod(), Path: r.GetPath(), Headers: headers})
	if err != nil {
		return nil, s.session.refuse("actor from request", err)
	}
	if actor == nil {
		return &pluginpb.ActorFromRequestResponse{}, nil
	}
	data, err := json.Marshal(actor)
	if err != nil {
		return nil, s.session.refuse("actor from request", err)
	}
	return &pluginpb.ActorFromRequestResponse{ActorJson: data}, nil
}

// actorFromJSON reads an actor as the host sends it: nothing for nobody.
func actorFromJSON(data []byte) (actor Actor, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // an id may be a large number
	if err := decoder.Decode(&actor); err != nil {
		return nil, fmt.Errorf("%w: the actor is no JSON object", secrets.ErrInvalid)
	}
	return actor, nil
}
