// Command plugin-go is a whole plugin: it declares the key of a translation
// service, and takes every new key into use as soon as there is one.
package main

import (
	"context"
	"errors"

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
	for _, err := range host.Watch(ctx, "TRANSLATE_API_KEY") {
		if err != nil {
			return err
		}
		key, err := host.GetSecret(ctx, "TRANSLATE_API_KEY", "")
		if errors.Is(err, pluginapi.ErrNotSet) {
			host.Logger().Info("waiting for TRANSLATE_API_KEY")
		} else if err != nil {
			return err
		} else {
			host.Logger().Info("ready to translate", "key_length", key.Len())
		}
	}
	return nil
}

func main() { pluginapi.Serve(translator{}) }
