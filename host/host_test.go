package host_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
)

const key = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="

func configured() [][2]string {
	return [][2]string{
		{"plugins.datasette-secrets.encryption-key", key},
		{"permissions.manage-secrets.id", "root"},
	}
}

func open(t *testing.T, cfg host.Config) *host.Host {
	t.Helper()
	h, err := host.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func page(t *testing.T, h *host.Host, path string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	cookie, err := h.ActorCookie(secrets.NewActor("root"))
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(cookie)
	answer := httptest.NewRecorder()
	h.Handler().ServeHTTP(answer, request)
	return answer
}

// A host embedded in another program: no flags, no process of its own.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	h := open(t, host.Config{Internal: file, Settings: configured()})
	if h.Ephemeral() {
		t.Error("a host with a file says that it loses its secrets")
	}
	if got := page(t, h, "/-/secrets"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "EXAMPLE_SECRET") {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	if len(h.Plugins()) != 0 {
		t.Error("there are plugins")
	}
}

func TestTemporaryDatabaseIsRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	h := open(t, host.Config{Settings: configured()})
	if !h.Ephemeral() {
		t.Error("a host without a file does not say that it loses its secrets")
	}
	if got := page(t, h, "/-/secrets"); !strings.Contains(got.Body.String(), "--internal") {
		t.Error("the page does not say how to keep the secrets")
	}
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A start that fails leaves nothing: no temporary folder, and no error that
// holds the key.
func TestFailedStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, cfg := range []host.Config{
		{Settings: configured(), PluginsDir: filepath.Join(dir, "nowhere")},
		{Settings: append(configured(), [2]string{"permissions.view-instance", "maybe"})},
		{Settings: append(configured(), [2]string{"plugins.datasette-secrets.database", "other"})},
		{Settings: [][2]string{{"plugins.datasette-secrets.encryption-key", key + "x"}}},
	} {
		h, err := host.Open(context.Background(), cfg)
		if err == nil {
			h.Close(context.Background())
			t.Error("started")
			continue
		}
		if strings.Contains(err.Error(), key) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := host.Open(context.Background(), host.Config{Files: []string{"nosuch.db"}, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, host.ErrNoFile) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat("nosuch.db"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file was made")
	}
}

// A program that embeds the host without calling Enter has no sandbox: its
// plugins are refused, unless its configuration says that they need none.
func TestEmbeddedWithoutEnter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "datasette-secrets-plugin-none"), []byte("#!/bin/sh\nexit 5\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{
		"enforce":     "does not call host.Enter first",
		"best-effort": "it ended before the handshake (exit status 5)",
		"off":         "it ended before the handshake (exit status 5)",
	} {
		settings := append(configured(), [2]string{"plugins.datasette-secrets.sandbox", mode})
		h := open(t, host.Config{Settings: settings, PluginsDir: dir})
		if status := h.Plugins(); len(status) != 1 || !strings.Contains(status[0].LastError, want) || status[0].Sandbox != mode {
			t.Errorf("%s: the plugin is %+v", mode, status)
		}
	}
}

// What the configuration says about plugins reaches them.
func TestGrants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "datasette-secrets-plugin-none"), []byte("#!/bin/sh\nexit $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for grant, want := range map[string]string{`{"args": ["9"]}`: "(exit status 9)", `{"enabled": false}`: ""} {
		settings := append(configured(), [2]string{"plugins.datasette-secrets.sandbox", "off"}, [2]string{"plugins.datasette-secrets.plugins.none", grant})
		h := open(t, host.Config{Settings: settings, PluginsDir: dir})
		status := h.Plugins()[0]
		if !strings.Contains(status.LastError, want) || (want == "") != (status.State == secrets.PluginDisabled) {
			t.Errorf("%s: the plugin is %+v", grant, status)
		}
	}
}
