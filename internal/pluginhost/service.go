package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const maxActorID = 255 // bytes

// service answers one plugin, which is known by the socket it came through.
type service struct {
	pluginpb.UnimplementedSecretsServer

	plugin   string
	vault    *vault.Vault
	settings func(plugin string) (any, error)
}

// caller is who asks: the plugin, on behalf of the actor that it names. The
// host has only the plugin's word for the actor.
func (s *service) caller(actorID string) (secrets.Caller, error) {
	if len(actorID) > maxActorID || !utf8.ValidString(actorID) {
		return secrets.Caller{}, fmt.Errorf("%w: an actor's id must be UTF-8 text of at most %d bytes", secrets.ErrInvalid, maxActorID)
	}
	caller := secrets.Caller{Plugin: s.plugin, Actor: secrets.NewActor(actorID)}
	if caller.Actor != nil {
		caller.Proof = secrets.ProofAsserted
	}
	return caller, nil
}

// GetSecret implements pluginpb.SecretsServer.
func (s *service) GetSecret(ctx context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	caller, err := s.caller(r.GetActorId())
	if err != nil {
		return nil, err
	}
	value, source, err := s.vault.Get(ctx, caller, r.GetName())
	if err != nil {
		return nil, err
	}
	return &pluginpb.GetSecretResponse{Value: []byte(value.Reveal()), Source: string(source)}, nil
}

// CanAccessSecret implements pluginpb.SecretsServer.
func (s *service) CanAccessSecret(ctx context.Context, r *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	caller, err := s.caller(r.GetActorId())
	if err != nil {
		return nil, err
	}
	allowed, err := s.vault.CanAccess(ctx, caller, r.GetName())
	if err != nil {
		return nil, err
	}
	return &pluginpb.CanAccessSecretResponse{Allowed: allowed}, nil
}

// ListSecrets implements pluginpb.SecretsServer.
func (s *service) ListSecrets(ctx context.Context, _ *pluginpb.ListSecretsRequest) (*pluginpb.ListSecretsResponse, error) {
	declared, err := s.vault.Status(ctx, secrets.Caller{Plugin: s.plugin})
	if err != nil {
		return nil, err
	}
	response := &pluginpb.ListSecretsResponse{}
	for _, d := range declared {
		response.Secrets = append(response.Secrets,
			&pluginpb.SecretStatus{Name: d.Name, Set: d.Set, Source: string(d.Source)})
	}
	return response, nil
}

// configuration is the second service of the same listener.
type configuration struct {
	pluginpb.UnimplementedConfigurationServer
	service *service
}

// GetConfig implements pluginpb.ConfigurationServer.
func (c configuration) GetConfig(context.Context, *pluginpb.GetConfigRequest) (*pluginpb.GetConfigResponse, error) {
	var block any
	if c.service.settings != nil {
		var err error
		if block, err = c.service.settings(c.service.plugin); err != nil {
			return nil, fmt.Errorf("reading the plugin's configuration: %w", err)
		}
	}
	data, err := json.Marshal(block)
	if err != nil {
		return nil, fmt.Errorf("encoding the plugin's configuration: %w", err)
	}
	return &pluginpb.GetConfigResponse{Json: data}, nil
}
