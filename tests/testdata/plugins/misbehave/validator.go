package main

import (
	"context"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// TestSecret answers, or never does if the value is "slow".
func (m *misbehave) TestSecret(ctx context.Context, r *pluginpb.TestSecretRequest) (*pluginpb.TestSecretResponse, error) {
	if string(r.GetValue()) == "slow" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pluginpb.TestSecretResponse{Ok: true, Message: m.version()}, nil
}

// version changes with the file.
func (m *misbehave) version() string { return "1.2.3\x1b[31m" }
