package main

import (
	"context"
	"errors"
	"time"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// The secret that the plugin uses, and for whom.
const (
	keyName = "DEMO_API_KEY"
	actorID = "demo"
)

// Demo is the plugin.
type Demo struct {
	Every time.Duration // how often it uses its secret
}

// RegisterSecrets implements pluginapi.Plugin.
func (Demo) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{
		{
			Name:        keyName,
			Description: "The demo plugin reads this key once a minute and logs its length",
			ObtainURL:   "https://example.com/",
			ObtainLabel: "Get a demo API key",
		},
		{
			Name:        "DEMO_PASSWORD",
			Description: "The demo plugin declares this password but never reads it",
		},
	}, nil
}

// Start implements pluginapi.Starter.
func (d Demo) Start(ctx context.Context, host pluginapi.Host) error {
	ticker := time.NewTicker(d.Every)
	defer ticker.Stop()
	hinted := false
	for {
		hinted = use(ctx, host, hinted)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// use reads the key once. It says what to do about a missing value only the
// first time, and reports whether it has been said.
func use(ctx context.Context, host pluginapi.Host, hinted bool) bool {
	value, err := host.GetSecret(ctx, keyName, actorID)
	switch {
	case ctx.Err() != nil:
		return hinted
	case errors.Is(err, pluginapi.ErrNotSet):
		if !hinted {
			host.Logger().Info("waiting for a value: set "+keyName+" at /-/secrets/"+keyName, "secret", keyName)
		}
		return true
	case err != nil:
		host.Logger().Warn("cannot read the key", "secret", keyName, "error", err)
		return hinted
	}
	host.Logger().Info("used the key", "secret", keyName, "actor", actorID, "length", value.Len())
	return false
}
