package pluginhost

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const maxActorID = 255 // bytes

// maxBatches is how many calls of GetSecrets are answered at once. Each may
// take some megabytes.
const maxBatches = 4

// service answers one plugin, which is known by the socket it came through.
type service struct {
	pluginpb.UnimplementedSecretsServer

	plugin   string
	vault    *vault.Vault
	signer   signing.Signer
	settings func(plugin string) (any, error)
	maxAge   time.Duration // how long the plugin may keep a value
	batches  chan struct{} // one for each GetSecrets that is being answered
	watches  *rate.Limiter
	redactor *redactor
	metrics  *metrics.Metrics // may be nil
	log      *slog.Logger
}

func newService(cfg Config, l *launch) *service {
	return &service{
		plugin:   l.name,
		vault:    cfg.Vault,
		signer:   cfg.Signer,
		settings: cfg.Settings,
		maxAge:   cfg.Grants[l.name].MaxAge,
		batches:  make(chan struct{}, maxBatches),
		watches:  rate.NewLimiter(watchRate, watchBurst),
		redactor: l.runner.journal.redactor,
		metrics:  cfg.Metrics,
		log:      l.log,
	}
}

// caller is who asks: the plugin, on behalf of the actor that it names. Without
// a token the host has only the plugin's word for the actor. A token that does
// not prove the actor is refused rather than ignored: whoever sends one wants
// to be believed.
func (s *service) caller(actorID, token string) (secrets.Caller, error) {
	if len(actorID) > maxActorID || !utf8.ValidString(actorID) {
		return secrets.Caller{}, fmt.Errorf("%w: an actor's id must be UTF-8 text of at most %d bytes", secrets.ErrInvalid, maxActorID)
	}
	if token != "" {
		actor, err := s.signer.ReadActorToken(token, s.plugin, time.Now())
		if err != nil || secrets.Actor(actor).ID() != actorID {
			return secrets.Caller{}, fmt.Errorf("%w: the actor's token does not prove this actor, or not any more", secrets.ErrDenied)
		}
		return secrets.Caller{Plugin: s.plugin, Actor: actor, Proof: secrets.ProofProven, RequestID: requestID()}, nil
	}
	caller := secrets.Caller{Plugin: s.plugin, Actor: secrets.NewActor(actorID), RequestID: requestID()}
	if caller.Actor != nil {
		caller.Proof = secrets.ProofAsserted
	}
	return caller, nil
}

// requestID is a number for one call, by which the entries of a GetSecrets in
// the audit log belong together.
func requestID() string { return rand.Text()[:13] }

// GetSecret implements pluginpb.SecretsServer.
func (s *service) GetSecret(ctx context.Context, r *pluginpb.GetSecretRequest) (*pluginpb.GetSecretResponse, error) {
	began := time.Now()
	found, err := s.get(ctx, r)
	s.metrics.Read(s.plugin, err)
	s.metrics.ReadTook(time.Since(began))
	if err != nil {
		return nil, err
	}
	return s.release(r.GetName(), found), nil
}

func (s *service) get(ctx context.Context, r *pluginpb.GetSecretRequest) (vault.Found, error) {
	caller, err := s.caller(r.GetActorId(), r.GetActorToken())
	if err != nil {
		return vault.Found{}, err
	}
	return s.vault.Get(ctx, caller, r.GetName())
}

// release hands a value to the plugin.
func (s *service) release(name string, found vault.Found) *pluginpb.GetSecretResponse {
	value := found.Value.Reveal()
	s.redactor.learn(name, value)
	return &pluginpb.GetSecretResponse{
		Value:         []byte(value),
		Source:        string(found.Source),
		Version:       uint64(found.Version),
		MaxAgeSeconds: uint32(s.maxAge / time.Second),
	}
}

// GetSecrets implements pluginpb.SecretsServer.
func (s *service) GetSecrets(ctx context.Context, r *pluginpb.GetSecretsRequest) (*pluginpb.GetSecretsResponse, error) {
	caller, err := s.caller(r.GetActorId(), r.GetActorToken())
	if err != nil {
		return nil, err
	}
	select {
	case s.batches <- struct{}{}:
		defer func() { <-s.batches }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	results, err := s.vault.GetMany(ctx, caller, r.GetNames())
	s.metrics.ReadTook(time.Since(began))
	if err != nil {
		s.metrics.Read(s.plugin, err)
		return nil, err
	}
	response := &pluginpb.GetSecretsResponse{}
	for _, result := range results {
		s.metrics.Read(s.plugin, result.Err)
		answer := &pluginpb.SecretResult{Name: result.Name}
		if result.Err == nil {
			answer.Found = s.release(result.Name, result.Found)
		} else if answer.Error, err = s.reason(result.Err); err != nil {
			return nil, err
		}
		response.Results = append(response.Results, answer)
	}
	return response, nil
}

// reason is what a plugin is told of why there is no value. An error that it
// may not know ends the whole call.
func (s *service) reason(err error) (string, error) {
	if errors.Is(err, secrets.ErrIntegrity) {
		s.log.Error("answering a plugin failed", "error", err)
	}
	reason := pluginwire.Reason(err)
	if reason == "" {
		return "", err
	}
	return reason, nil
}

// CanAccessSecret implements pluginpb.SecretsServer.
func (s *service) CanAccessSecret(ctx context.Context, r *pluginpb.CanAccessSecretRequest) (*pluginpb.CanAccessSecretResponse, error) {
	caller, err := s.caller(r.GetActorId(), r.GetActorToken())
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
