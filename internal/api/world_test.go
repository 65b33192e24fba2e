package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/api"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const canary = "hunter2-canary-of-the-api"

var root = secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}

// world is the API over a real vault in a temporary file. The client "reader"
// may read API_KEY, ENV_KEY and UNSET, "writer" may write API_KEY and FRESH; the
// plugin "demo" has DEMO_KEY.
type world struct {
	t       testing.TB
	vault   *vault.Vault
	handler http.Handler
	server  *httptest.Server
	log     *buffer
	reader  string // tokens
	writer  string

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &buffer{}, now: time.Date(2026, 7, 14, 10, 11, 12, 0, time.UTC)}
	file, _, err := db.Open(context.Background(), filepath.Join(t.TempDir(), "internal.db"), w.clock)
	ok(t, err)
	t.Cleanup(func() { _ = file.Close() })
	policy, err := access.New(access.Config{Permissions: map[string]any{"manage-secrets": map[string]any{"id": "root"}, "manage-plugins": map[string]any{"id": "root"}}})
	ok(t, err)
	keys, err := keyring.Parse("-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo=")
	ok(t, err)
	env := map[string]string{"DATASETTE_SECRETS_ENV_KEY": canary + "-env", "DATASETTE_SECRETS_BINARY": "\xff\xfe"}
	w.vault = vault.New(vault.Config{
		DB: file, Keys: keys, Policy: policy, Now: w.clock,
		Environment: source.Environment{Lookup: func(name string) (string, bool) { v, found := env[name]; return v, found }},
	})
	ok(t, w.vault.Introduce(t.Context(), vault.Introduction{Plugin: "demo", Declarations: []secrets.Declaration{{Name: "DEMO_KEY"}}}))
	w.reader = w.client("reader", false, "API_KEY", "ENV_KEY", "UNSET", "BINARY")
	w.writer = w.client("writer", true, "API_KEY", "FRESH")
	w.put("API_KEY", canary)
	w.put("DEMO_KEY", canary+"-demo")
	cfg := api.Config{Vault: w.vault, BaseURL: "/", Version: "1.2", Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: w.clock, Rate: 1e9}
	for _, f := range change {
		f(&cfg)
	}
	w.handler = api.Handler(cfg)
	w.server = httptest.NewServer(w.handler)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) client(name string, writes bool, names ...string) string {
	w.t.Helper()
	token, err := w.vault.AddClient(context.Background(), root, vault.NewClient{Name: name, Secrets: names, Write: writes})
	ok(w.t, err)
	return token.Reveal()
}

func (w *world) put(name, value string) {
	w.t.Helper()
	_, err := w.vault.Put(context.Background(), root, name, secrets.NewValue(value), "")
	ok(w.t, err)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
	}
	return v
}

// ask sends a request, with headers as pairs.
func (w *world) ask(method, path, token, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.server.URL+path, strings.NewReader(body))
	ok(w.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := w.server.Client().Do(r)
	ok(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ok(w.t, err)
	return answer{response, string(text)}
}

// want checks the status of an answer, and its code if it is an error.
func (a answer) want(t testing.TB, status int, code string) answer {
	t.Helper()
	got := ""
	if a.StatusCode >= 400 {
		got, _ = a.json(t)["code"].(string)
	}
	if a.StatusCode != status || got != code {
		t.Errorf("%s %s: got %d %s, want %d %s", a.Request.Method, a.Request.URL, a.StatusCode, a.body, status, code)
	}
	return a
}

// entries are the newest entries of the log, newest first.
func (w *world) entries(n int) []vault.LogRow {
	w.t.Helper()
	found, err := w.vault.OlderLog(context.Background(), root, vault.LogFilter{}, 0, n)
	ok(w.t, err)
	return found.Entries
}

// buffer is a log that many write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
