package pluginapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// maxNames is how many secrets the host gives at once.
const maxNames = 100

// GetSecrets implements Host.
func (h *hostClient) GetSecrets(ctx context.Context, names []string, actorID string) (map[string]Value, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	on := onBehalfOf(ctx, actorID)
	found := make(map[string]Value, len(names))
	var missing []string
	for _, name := range names {
		if value, ok := h.cache.get(on.key(name)); ok {
			found[name] = value
		} else if !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	var failures []error
	for batch := range slices.Chunk(missing, maxNames) {
		failures = append(failures, h.getBatch(ctx, batch, on, found))
	}
	return found, errors.Join(failures...)
}

// getBatch adds what the host gives to found.
func (h *hostClient) getBatch(ctx context.Context, names []string, on behalf, found map[string]Value) error {
	ticket := h.cache.ticket()
	response, err := h.secrets.GetSecrets(ctx, &pluginpb.GetSecretsRequest{Names: names, ActorId: on.id, ActorToken: on.token})
	if err != nil {
		return fmt.Errorf("getting %d secrets: %w", len(names), pluginwire.FromStatus(err))
	}
	var failures []error
	for _, result := range response.GetResults() {
		if result.GetError() != "" || result.GetFound() == nil {
			failures = append(failures, fmt.Errorf("getting secret %q: %w", result.GetName(), pluginwire.FromReason(result.GetError())))
			continue
		}
		found[result.GetName()] = h.accept(result.GetFound(), on.key(result.GetName()), ticket)
	}
	return errors.Join(failures...)
}

// accept turns what the host gave into a Value, and keeps it if it may.
func (h *hostClient) accept(r *pluginpb.GetSecretResponse, key cacheKey, t ticket) Value {
	value := secrets.NewValue(string(r.GetValue()))
	if r.GetMaxAgeSeconds() > 0 {
		h.follow.Do(func() { go h.keepCacheFresh(h.lifetime) })
		h.cache.put(key, r.GetValue(), time.Duration(r.GetMaxAgeSeconds())*time.Second, t)
	}
	clear(r.GetValue()) // one copy less in memory
	return value
}

// behalf is on whose behalf the host is asked.
type behalf struct{ id, token string }

func onBehalfOf(ctx context.Context, actorID string) behalf {
	id, token := onBehalf(ctx, actorID)
	return behalf{id, token}
}

func (b behalf) key(secret string) cacheKey {
	return cacheKey{name: secret, actorID: b.id, proven: b.token != ""}
}
