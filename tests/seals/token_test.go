package seals

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// tokenRun runs a command with the environment of a token.
func tokenRun(t *testing.T, dir string, env []string, args ...string) harness.Result {
	t.Helper()
	return harness.RunCommand(t, dir, harness.Env(env...), harness.Binary(t), args...)
}

func mustRun(t *testing.T, dir string, env []string, args ...string) harness.Result {
	t.Helper()
	r := tokenRun(t, dir, env, args...)
	if r.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// story is what an operator does with a token, from a new key to a host that
// opens its keys with it, and goes on without it.
func story(t *testing.T, env []string, uri string) (dir string) {
	t.Helper()
	dir = folder(t)
	store(t, filepath.Join(dir, "i.db"))
	run := func(args ...string) harness.Result { return mustRun(t, dir, env, args...) }

	if r := tokenRun(t, dir, env, "hsm", "doctor", "--uri", uri); r.Code == 0 || !strings.Contains(r.Stdout, "a seal would not work") {
		t.Errorf("the doctor, before there is a key: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	run("hsm", "init", "--uri", uri)
	if r := tokenRun(t, dir, env, "hsm", "init", "--uri", uri); r.Code != 2 || !strings.Contains(r.Stderr, "already") {
		t.Errorf("a second key of the same label: exit code %d\n%s", r.Code, r.Stderr)
	}
	var report struct {
		Works bool
		Key   struct{ Sensitive, Extractable, Local bool }
	}
	if err := json.Unmarshal([]byte(run("hsm", "doctor", "--json", "--uri", uri).Stdout), &report); err != nil || !report.Works || !report.Key.Sensitive || report.Key.Extractable || !report.Key.Local {
		t.Errorf("the doctor finds %+v, %v", report, err)
	}

	run("seal", "adopt", "--internal", "i.db", "--uri", uri, "--name", "token", "-s", "plugins.datasette-secrets.encryption-key.$file", "configured")
	run("seal", "add", "--internal", "i.db", "--passphrase-file", "paper", "--name", "paper", "--work-factor", "10", "--with-uri", uri)
	probe := harness.NewProbe(t, "API_KEY")
	start := func() *harness.Process {
		return harness.Start(t, harness.Options{NoKey: true, Dir: dir, Env: env,
			Args: append(probe.Args, "--internal", "i.db", "-s", "permissions.manage-secrets.id", "root", "-s", "plugins.datasette-secrets.seals.token.uri", uri)})
	}
	for range 2 { // a start, and a restart
		p := start()
		if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
			t.Fatalf("the plugin gets %q, %v\n%s", got, err, p.Stderr)
		}
		p.Stop(t)
		if stderr := p.Stderr.String(); strings.Contains(stderr, harness.TokenPIN) {
			t.Error("the log holds the PIN")
		}
	}

	// A new key for every row, with the token, while a host runs.
	p := start()
	run("key", "rotate", "--internal", "i.db", "--with-uri", uri)
	run("key", "retire", "default", "--internal", "i.db", "--with-uri", uri)
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after the rotation: %q, %v\n%s", got, err, p.Stderr)
	}
	if status := run("key", "status", "--internal", "i.db", "--with-uri", uri).Stdout; strings.Contains(status, "default") {
		t.Errorf("the old key is still there:\n%s", status)
	}

	// A new root key: the host reads on, and opens it by itself.
	run("seal", "rewrap", "--internal", "i.db", "--with-uri", uri, "--with-passphrase-file", "paper")
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after a new root key: %q, %v\n%s", got, err, p.Stderr)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		stored := p.SetSecret(t, "API_KEY", value, "", secrets.NewActor("root")).StatusCode
		if stored == http.StatusFound {
			break
		}
		if stored != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("storing under a new root key: status %d\n%s", stored, p.Stderr)
		}
	}
	p.Stop(t)

	// Without the token, the passphrase opens; then the token's seal goes.
	run("seal", "remove", "token", "--internal", "i.db", "--with-passphrase-file", "paper")
	if r := tokenRun(t, dir, env, "seal", "verify", "--internal", "i.db", "--with-uri", uri); r.Code != 6 {
		t.Errorf("the removed seal: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	p = start()
	if _, err := probe.Get(t, "API_KEY", "alice"); !errors.Is(err, pluginapi.ErrSealed) {
		t.Errorf("without its seal, the token opens: %v", err)
	}
	run("unseal", "--internal", "i.db", "--passphrase-file", "paper")
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after unsealing: %q, %v", got, err)
	}
	p.Stop(t)
	return dir
}

// The whole story with SoftHSM. The key is asked for in every way that there
// is, and does not leave the token; no file holds a PIN, passphrase or key but
// those that are given.
func TestSoftHSM(t *testing.T) {
	t.Parallel()
	soft := harness.NewSoftHSM(t, "prod")
	dir := story(t, soft.Env, soft.URI(harness.SoftHSMModule, "prod", "datasette-secrets"))

	if out, err := soft.Tool(t, "prod", "--read-object", "--type", "secrkey", "--label", "datasette-secrets"); err == nil || !strings.Contains(out, "CKR_ATTRIBUTE_SENSITIVE") && !strings.Contains(out, "sensitive") {
		t.Errorf("asking for the key: %v\n%s", err, out)
	}
	if out, err := soft.Tool(t, "prod", "--list-objects"); err != nil || !strings.Contains(out, "datasette-secrets") || !strings.Contains(out, "never extractable") {
		t.Errorf("the token says of its key: %v\n%s", err, out)
	}

	given := []string{"paper", "machine", "other", "configured", "wrong"}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || contains(given, entry.Name()) {
			return err
		}
		data, err := os.ReadFile(path)
		for what, text := range map[string]string{"PIN": harness.TokenPIN, "passphrase": passphrase, "key": harness.Key[:40], "value": value} {
			if strings.Contains(string(data), text) {
				t.Errorf("%s holds the %s", entry.Name(), what)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// The same story with a TPM 2.0, whose keys are RSA.
func TestTPM(t *testing.T) {
	t.Parallel()
	tpm := harness.NewTPM(t, "prod")
	story(t, tpm.Env, tpm.URI("prod", "datasette-secrets"))
}

// A host whose token has gone is sealed, and opens when it is back; a wrong PIN
// is given to the token once, however often the host is started.
func TestTokenOfRunningHost(t *testing.T) {
	t.Parallel()
	soft, shim, dir := harness.NewSoftHSM(t, "prod"), harness.Shim(t), folder(t)
	store(t, filepath.Join(dir, "i.db"))
	log := filepath.Join(dir, "calls")
	env := append(soft.Env, "SHIM_TARGET="+harness.SoftHSMModule, "SHIM_LOG="+log)
	uri := soft.URI(shim, "prod", "key")
	mustRun(t, dir, env, "hsm", "init", "--uri", uri)
	mustRun(t, dir, env, "seal", "adopt", "--internal", "i.db", "--uri", uri, "--name", "token", "-s", "plugins.datasette-secrets.encryption-key.$file", "configured")
	probe := harness.NewProbe(t, "API_KEY")
	start := func() *harness.Process {
		return harness.Start(t, harness.Options{NoKey: true, Dir: dir, Env: env,
			Args: append(probe.Args, "--internal", "i.db", "-s", "plugins.datasette-secrets.seals.token.uri", uri)})
	}
	logins := func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(data), "C_Login\n")
	}

	show := soft.Hide(t)
	p := start()
	if _, err := probe.Get(t, "API_KEY", "alice"); !errors.Is(err, pluginapi.ErrSealed) {
		t.Errorf("without the token: %v", err)
	}
	show()
	awaitOpen(t, probe) // by itself
	before := logins()
	for range 20 {
		if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
			t.Fatalf("with the token: %q, %v", got, err)
		}
	}
	if logins() != before {
		t.Error("reading a secret asks the token")
	}
	p.Stop(t)

	write(t, filepath.Join(soft.Dir, "pin"), "000000\n")
	before = logins()
	for range 2 {
		p := start()
		for range 2 {
			if r := tokenRun(t, dir, env, "unseal", "--internal", "i.db", "--configured"); r.Code != 3 || !strings.Contains(r.Stderr, "refused the PIN") {
				t.Errorf("a wrong PIN: exit code %d\n%s", r.Code, r.Stderr)
			}
		}
		p.Stop(t)
	}
	if n := logins() - before; n != 1 {
		t.Errorf("a wrong PIN was given to the token %d times, want once", n)
	}
	write(t, filepath.Join(soft.Dir, "pin"), harness.TokenPIN+"\n")
	start()
	if r := tokenRun(t, dir, env, "unseal", "--internal", "i.db", "--configured"); r.Code != 3 {
		t.Errorf("before the operator has said so: exit code %d\n%s", r.Code, r.Stderr)
	}
	mustRun(t, dir, env, "unseal", "--internal", "i.db", "--configured", "--retry-pin")
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("with the right PIN again: %q, %v", got, err)
	}
}

// awaitOpen waits until a sealed host has opened its keys.
func awaitOpen(t *testing.T, probe *harness.Probe) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err := probe.Get(t, "API_KEY", "alice"); !errors.Is(err, pluginapi.ErrSealed) {
			return
		}
	}
	t.Fatal("the host stays sealed")
}
