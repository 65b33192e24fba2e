package ui_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

const testKey = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="

// world is the pages over a real vault in a temporary file.
type world struct {
	t       testing.TB
	dir     string // of the database
	db      *db.DB
	vault   *vault.Vault
	signer  signing.Signer
	handler http.Handler
	log     *buffer
	now     time.Time
}

// options are what a test may want to be different.
type options struct {
	ui              ui.Config
	permissions     map[string]any
	allow           any
	root            bool
	rules           map[string]access.SecretConfig // of single secrets
	env             map[string]string
	unconfigured    bool
	allowUndeclared bool
	sets            [][2]string // settings, as -s
	declare         []secrets.Declaration
}

// newWorld builds a world in which only root and admin manage secrets.
func newWorld(t testing.TB, change ...func(*options)) *world {
	t.Helper()
	o := options{permissions: map[string]any{"manage-secrets": map[string]any{"id": []any{"root", "admin", "7"}}}}
	for _, f := range change {
		f(&o)
	}
	w := &world{t: t, dir: t.TempDir(), signer: signing.New("1"), log: &buffer{}, now: time.Date(2026, 7, 14, 10, 11, 12, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	file, _, err := db.Open(context.Background(), filepath.Join(w.dir, "internal.db"), clock)
	ok(t, err)
	t.Cleanup(func() { _ = file.Close() })
	w.db = file
	policy, err := access.New(access.Config{Permissions: o.permissions, Allow: o.allow, Root: o.root, Secrets: o.rules})
	ok(t, err)
	var keys *keyring.Keyring
	if !o.unconfigured {
		keys, err = keyring.Parse(testKey)
		ok(t, err)
	}
	lookup := func(name string) (string, bool) { v, found := o.env[name]; return v, found }
	w.vault = vault.New(vault.Config{
		DB: file, Keys: keys, Policy: policy, Now: clock,
		Environment:     source.Environment{Lookup: lookup},
		AllowUndeclared: o.allowUndeclared,
	})
	if o.declare != nil {
		ok(t, w.vault.Introduce(t.Context(), vault.Introduction{Plugin: "demo", Declarations: o.declare}))
	}
	settings, err := config.Load(config.Source{Sets: o.sets})
	ok(t, err)
	cfg := o.ui
	cfg.Vault, cfg.Signer, cfg.Policy, cfg.Settings = w.vault, w.signer, policy, settings.Settings()
	cfg.Now, cfg.Log = clock, slog.New(slog.NewTextHandler(w.log, nil))
	w.handler = ui.Handler(cfg)
	return w
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

// as signs the request in.
func (w *world) as(id string) func(*http.Request) {
	return w.actor(map[string]any{"id": id})
}

func (w *world) actor(actor map[string]any) func(*http.Request) {
	signed, err := w.signer.SignActor(actor, time.Time{})
	ok(w.t, err)
	return header("Cookie", "ds_actor="+signed)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func (w *world) do(method, target, body string, change ...func(*http.Request)) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8123"
	for _, f := range change {
		f(r)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	data, err := io.ReadAll(response.Body)
	ok(w.t, err)
	return answer{response, string(data)}
}

func (w *world) get(target string, change ...func(*http.Request)) answer {
	w.t.Helper()
	return w.do("GET", target, "", change...)
}

// post posts name, value, name, value … as a form.
func (w *world) post(target string, change func(*http.Request), fields ...string) answer {
	w.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	if change == nil {
		change = func(*http.Request) {}
	}
	return w.do("POST", target, values.Encode(), header("Content-Type", "application/x-www-form-urlencoded"), change)
}

// value reads a secret as a plugin would.
func (w *world) value(name string) string {
	w.t.Helper()
	found, err := w.vault.Get(context.Background(), secrets.Caller{Plugin: "demo"}, name)
	if err != nil {
		return "error: " + err.Error()
	}
	return found.Value.Reveal()
}

// set stores a value behind the pages' back.
func (w *world) set(name, value, note string) {
	w.t.Helper()
	_, err := w.vault.Put(context.Background(), secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofLocal}, name, secrets.NewValue(value), note)
	ok(w.t, err)
}

// insert puts a row into the database that another program might have written.
func (w *world) insert(row db.Row) {
	w.t.Helper()
	row.Encrypted, row.KeyName = []byte("no token"), "default"
	ok(w.t, w.db.Update(context.Background(), func(tx *db.Tx) error {
		_, _, err := tx.Insert(row, 0)
		return err
	}))
}

// cookie is the value of a cookie that the answer sets, and its whole line.
func (a answer) cookie(name string) (value, line string) {
	for _, line := range a.Header.Values("Set-Cookie") {
		if rest, found := strings.CutPrefix(line, name+"="); found {
			value, _, _ := strings.Cut(rest, ";")
			return value, line
		}
	}
	return "", ""
}

// flash is the messages that the answer sends on.
func (w *world) flash(a answer) []signing.Message {
	value, _ := a.cookie("ds_messages")
	return w.signer.Messages(value)
}

func (a answer) want(t testing.TB, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status is %d, want %d; body:\n%s", a.StatusCode, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%q is missing in:\n%s", text, a.body)
		}
	}
}

func (a answer) wantRedirect(t testing.TB, location string) {
	t.Helper()
	a.want(t, http.StatusFound)
	if got := a.Header.Get("Location"); got != location {
		t.Errorf("Location is %q, want %q", got, location)
	}
	if a.body != "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("a redirect has body %q of type %s", a.body, a.Header.Get("Content-Type"))
	}
}

func (a answer) lacks(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%q should not be in:\n%s", text, a.body)
		}
	}
}

// demo declares two secrets.
func demo(o *options) {
	o.declare = []secrets.Declaration{
		{Name: "ONE", Description: "The first"},
		{Name: "TWO", Description: "The second", ObtainURL: "https://example.com/get", ObtainLabel: "Get it"},
	}
}

// squash collapses white space.
func squash(s string) string { return strings.Join(strings.Fields(s), " ") }

// buffer is a log that may be written from several goroutines.
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

func sprint(v any) string { return fmt.Sprint(v) }
