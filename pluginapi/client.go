package pluginapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// hostClient is the Host that a plugin is given: the host's services at the
// other end of a connection.
type hostClient struct {
	secrets pluginpb.SecretsClient
	config  pluginpb.ConfigurationClient
	logger  *slog.Logger

	sharing  sharing
	cache    cache
	lifetime context.Context // of the plugin
	follow   sync.Once       // lets the cache know of changes, from the first value that may be kept
}

var _ Host = (*hostClient)(nil)

func newHostClient(lifetime context.Context, conn grpc.ClientConnInterface, logger *slog.Logger) *hostClient {
	return &hostClient{
		lifetime: lifetime,
		secrets:  pluginpb.NewSecretsClient(conn),
		config:   pluginpb.NewConfigurationClient(conn),
		logger:   logger,
	}
}

func (h *hostClient) GetSecret(ctx context.Context, name, actorID string) (Value, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	on := onBehalfOf(ctx, actorID)
	if value, ok := h.cache.get(on.key(name)); ok {
		return value, nil
	}
	ticket := h.cache.ticket()
	response, err := h.fetch(ctx, name, on)
	if err != nil {
		return Value{}, fmt.Errorf("getting secret %q: %w", name, pluginwire.FromStatus(err))
	}
	return h.accept(response, on.key(name), ticket), nil
}

func (h *hostClient) CanAccessSecret(ctx context.Context, name, actorID string) (bool, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	id, token := onBehalf(ctx, actorID)
	response, err := h.secrets.CanAccessSecret(ctx, &pluginpb.CanAccessSecretRequest{Name: name, ActorId: id, ActorToken: token})
	if err != nil {
		return false, fmt.Errorf("asking for access to secret %q: %w", name, pluginwire.FromStatus(err))
	}
	return response.GetAllowed(), nil
}

func (h *hostClient) ListSecrets(ctx context.Context) ([]SecretStatus, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	response, err := h.secrets.ListSecrets(ctx, &pluginpb.ListSecretsRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing secrets: %w", pluginwire.FromStatus(err))
	}
	return statusesFromProto(response), nil
}

func (h *hostClient) Config(ctx context.Context, into any) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	response, err := h.config.GetConfig(ctx, &pluginpb.GetConfigRequest{})
	if err != nil {
		return fmt.Errorf("getting the configuration: %w", pluginwire.FromStatus(err))
	}
	return decodeConfig(response.GetJson(), into)
}

func (h *hostClient) Logger() *slog.Logger { return h.logger }

// decodeConfig words a wrong type itself: encoding/json would repeat a number
// from the configuration, which may hold secrets.
func decodeConfig(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Errorf("reading the configuration: %q must be of type %s", wrong.Field, wrong.Type)
	case errors.As(err, &wrong):
		return fmt.Errorf("reading the configuration: it must be of type %s", wrong.Type)
	case err != nil:
		return fmt.Errorf("reading the configuration: %w", err)
	}
	return nil
}

// withDeadline gives a call that may last for ever an end.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, pluginwire.HostCallTimeout)
}
