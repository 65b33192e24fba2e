package main

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/pluginapi/plugintest"
)

func TestTranslatorTakesNewKeysIntoUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := plugintest.New(t, translator{})
		synctest.Wait()
		if log := h.Log(); !strings.Contains(log, "waiting for TRANSLATE_API_KEY") {
			t.Errorf("log: %s", log)
		}
		h.Set("TRANSLATE_API_KEY", "hunter2")
		synctest.Wait()
		if log := h.Log(); !strings.Contains(log, `"key_length":7`) || strings.Contains(log, "hunter2") {
			t.Errorf("log: %s", log)
		}
		if len(h.Uses()) != 1 {
			t.Errorf("uses: %v", h.Uses())
		}
	})
}

func TestTranslatorFails(t *testing.T) {
	t.Parallel()
	h := plugintest.New(t, translator{}, plugintest.Secrets{"TRANSLATE_API_KEY": "hunter2"})
	h.Deny("TRANSLATE_API_KEY", "")
	if err := h.Wait(); !errors.Is(err, pluginapi.ErrDenied) {
		t.Errorf("got %v", err)
	}
}
