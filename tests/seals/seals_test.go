// Package seals tests the sealed keyring as an operator meets it: the real
// program, its terminal, its running host, its end in the middle of a change,
// and tokens in software.
package seals

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

const (
	passphrase = "correct horse battery staple"
	machineKey = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	otherKey   = "zp1tjqFvTpbPXfCVLZwMG0lYjKxR0PsDyrdCHcYyV2E="
	value      = "the stored value"
)

// folder is a folder with a passphrase, two keys and the host's own key in
// files.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"paper": passphrase, "machine": machineKey, "other": otherKey, "configured": harness.Key} {
		write(t, filepath.Join(dir, name), text+"\n")
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a command that must succeed.
func run(t testing.TB, dir string, args ...string) harness.Result {
	t.Helper()
	r := harness.Run(t, dir, args...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// opened is the vault of a file, opened as a host does it.
func opened(t testing.TB, path string, configured any) *vault.Vault {
	t.Helper()
	ctx := context.Background()
	d, _, err := db.Open(ctx, path, time.Now)
	if err != nil {
		t.Fatalf("the database does not open: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	ring, err := keyring.Parse(configured)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.New(access.Config{Root: true})
	if err != nil {
		t.Fatal(err)
	}
	none := source.Environment{Lookup: func(string) (string, bool) { return "", false }}
	v := vault.New(vault.Config{DB: d, Keys: ring, Policy: policy, Environment: none, AllowUndeclared: true, Now: time.Now})
	introduction := vault.Introduction{Plugin: "probe", Hash: "sha256:00", Declarations: []secrets.Declaration{{Name: "API_KEY"}, {Name: "FROM_ENV"}}}
	if err := v.Introduce(ctx, introduction); err != nil {
		t.Fatal(err)
	}
	return v
}

// read reads the stored value as a plugin does.
func read(v *vault.Vault) (string, error) {
	got, err := v.Get(context.Background(), secrets.Caller{Plugin: "probe", Actor: secrets.NewActor("alice")}, "API_KEY")
	return got.Value.Reveal(), err
}

// store makes a file with one secret under the host's own key.
func store(t testing.TB, path string) {
	t.Helper()
	v := opened(t, path, harness.Key)
	root := secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}
	if _, err := v.Put(context.Background(), root, "API_KEY", secrets.NewValue(value), ""); err != nil {
		t.Fatal(err)
	}
}

func byPassphrase(t testing.TB) seal.Means {
	t.Helper()
	means, err := seal.ByPassphrase(secrets.NewValue(passphrase), 0)
	if err != nil {
		t.Fatal(err)
	}
	return means
}

func byKey(t testing.TB, text string) seal.Means {
	t.Helper()
	means, err := seal.ByKey(secrets.NewValue(text))
	if err != nil {
		t.Fatal(err)
	}
	return means
}

// A sealed host as its plugins, its pages and its operator meet it.
func TestSealedHost(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	store(t, filepath.Join(dir, "i.db"))
	run(t, dir, "seal", "adopt", "--internal", "i.db", "--passphrase-file", "paper", "--work-factor", "10",
		"-s", "plugins.datasette-secrets.encryption-key.$file", "configured")
	probe := harness.NewProbe(t, "API_KEY", "FROM_ENV")
	start := func(extra ...string) *harness.Process {
		return harness.Start(t, harness.Options{
			NoKey: true, Dir: dir, Env: []string{"DATASETTE_SECRETS_FROM_ENV=from the environment"},
			Args: append(append(probe.Args, "--internal", "i.db", "-s", "permissions.manage-secrets.id", "root"), extra...),
		})
	}
	p := start()
	if _, err := probe.Get(t, "API_KEY", "alice"); !errors.Is(err, pluginapi.ErrSealed) {
		t.Errorf("a plugin gets %v, want HOST_SEALED", err)
	}
	if got, err := probe.Get(t, "FROM_ENV", "alice"); err != nil || got != "from the environment" {
		t.Errorf("the environment answers %q, %v", got, err)
	}
	root := secrets.NewActor("root")
	if page := p.Get(t, "/-/secrets", root); !strings.Contains(page.Text, "This host is sealed") {
		t.Error("the page does not say that the host is sealed")
	}
	if r := p.SetSecret(t, "API_KEY", "new", "", root); r.StatusCode != 503 {
		t.Errorf("a new value: status %d", r.StatusCode)
	}
	if r := p.Get(t, "/-/readyz", nil); r.StatusCode != 503 || !strings.Contains(r.Text, `"keys": "sealed"`) || !strings.Contains(r.Text, `"database": "ok"`) {
		t.Errorf("a sealed host is ready: status %d\n%s", r.StatusCode, r.Text)
	}

	if r := harness.Run(t, dir, "unseal", "--internal", "i.db", "--key-file", "machine"); r.Code != 6 {
		t.Errorf("a key for a passphrase: exit code %d\n%s", r.Code, r.Stderr)
	}
	write(t, filepath.Join(dir, "wrong"), "not the passphrase\n")
	if r := harness.Run(t, dir, "unseal", "--internal", "i.db", "--passphrase-file", "wrong"); r.Code != 3 || !strings.Contains(r.Stderr, "the passphrase is wrong") {
		t.Errorf("a wrong passphrase: exit code %d\n%s", r.Code, r.Stderr)
	}
	run(t, dir, "unseal", "--internal", "i.db", "--passphrase-file", "paper")
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after unsealing: %q, %v", got, err)
	}
	if r := p.Get(t, "/-/readyz", nil); r.StatusCode != 200 {
		t.Errorf("an unsealed host is not ready: status %d\n%s", r.StatusCode, r.Text)
	}
	if r := run(t, dir, "unseal", "--internal", "i.db"); !strings.Contains(r.Stderr, "not sealed") {
		t.Errorf("unsealing twice: %s", r.Stderr)
	}

	// Another seal while the host runs; the next start opens by itself.
	run(t, dir, "seal", "add", "--internal", "i.db", "--with-passphrase-file", "paper", "--key-file", "machine", "--name", "machine")
	p.Stop(t)
	p = start("-s", "plugins.datasette-secrets.seals.machine.key.$file", "machine")
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after the restart: %q, %v", got, err)
	}
	if page := p.Get(t, "/-/secrets", root); strings.Contains(page.Text, "This host is sealed") {
		t.Error("the page says that the host is sealed")
	}
	p.Stop(t)
	if r := harness.Run(t, dir, "unseal", "--internal", "i.db", "--passphrase-file", "paper"); r.Code != 7 || !strings.Contains(r.Stderr, "no host runs") {
		t.Errorf("without a host: exit code %d\n%s", r.Code, r.Stderr)
	}
}
