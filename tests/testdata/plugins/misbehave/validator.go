package main

import (
	"context"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// TestSecret answers, after a moment if the value is "pause", and never if it is
// "slow".
func (m *misbehave) TestSecret(ctx context.Context, r *pluginpb.TestSecretRequest) (*pluginpb.TestSecretResponse, error) {
	report("called TestSecret")
	if m.hooks != nil && m.hooks.test != nil {
		return m.hooks.test(ctx, string(r.GetValue()))
	}
	switch string(r.GetValue()) {
	case "pause":
		time.Sleep(50 * time.Millisecond)
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pluginpb.TestSecretResponse{Ok: true}, nil
}
