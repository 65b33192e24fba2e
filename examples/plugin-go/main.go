// Command plugin-go is a whole plugin: it declares the key of a translation
// service and logs whether it may call that service.
package main

import (
	"context"
	"fmt"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

type translator struct{}

func (translator) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{
		Name:        "TRANSLATE_API_KEY",
		Description: "Key of the translation service",
		ObtainURL:   "https://example.com/keys",
		ObtainLabel: "Get a key",
	}}, nil
}

func (translator) Start(ctx context.Context, host pluginapi.Host) error {
	allowed, err := host.CanAccessSecret(ctx, "TRANSLATE_API_KEY", "")
	if err != nil {
		return fmt.Errorf("asking for the key: %w", err)
	}
	host.Logger().Info("ready", "may_translate", allowed)
	return nil
}

func main() { pluginapi.Serve(translator{}) }
