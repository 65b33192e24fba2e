package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

func TestTranslator(t *testing.T) {
	t.Parallel()
	h := plugintest.New(t, translator{}, plugintest.Secrets{"TRANSLATE_API_KEY": "hunter2"})
	if err := h.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.Log(), `"may_translate":true`) {
		t.Errorf("log: %s", h.Log())
	}
	if len(h.Uses()) != 0 {
		t.Error("asking for access counted as a use")
	}
}

func TestTranslatorFails(t *testing.T) {
	t.Parallel()
	h := plugintest.New(t, translator{}, plugintest.Failing(pluginapi.ErrSealed))
	if err := h.Wait(); !errors.Is(err, pluginapi.ErrSealed) {
		t.Errorf("got %v", err)
	}
}
