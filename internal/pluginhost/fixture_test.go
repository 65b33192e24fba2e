package pluginhost_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// patience is how long a test waits for something that is to happen soon. It
// is generous, because it only matters when the test fails.
const patience = 20 * time.Second

// canary is in the environment of every host here, and must be in no plugin's.
const canary = "PLUGINHOST_TEST_CANARY"

// Names of what TestMain hands to the tests, and to a helper that is a host.
const (
	programVariable = "PLUGINHOST_TEST_PROGRAM"
	helperVariable  = "PLUGINHOST_TEST_HELPER"
)

func TestMain(m *testing.M) {
	sandbox.Enter(os.Args)
	if os.Getenv(programVariable) != "" && os.Getenv(helperVariable) == "" {
		// This is the run of TestProberUnprivileged.
		if err := sandbox.HideMemory(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Setenv(canary, "chirp")
	if dir := os.Getenv(helperVariable); dir != "" {
		beHost(dir)
	}
	os.Exit(withProgram(m.Run))
}

// withProgram builds the misbehaving plugin for the time of run.
func withProgram(run func() int) int {
	dir, err := os.MkdirTemp("", "misbehave")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "misbehave")
	build := exec.Command("go", "build", "-o", program, "../../tests/testdata/plugins/misbehave")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the plugin: %v\n%s", err, output)
		return 1
	}
	os.Setenv(programVariable, program)
	return run()
}

// pluginsDir makes a folder with the misbehaving plugin under each name.
func pluginsDir(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if os.Link(os.Getenv(programVariable), pluginFile(dir, name)) != nil {
			copyFile(t, os.Getenv(programVariable), pluginFile(dir, name))
		}
	}
	return dir
}

func pluginFile(dir, name string) string {
	return filepath.Join(dir, "datasette-secrets-plugin-"+name)
}

// world is one host under test with everything around it.
type world struct {
	*pluginhost.Host
	t       testing.TB
	vault   *vault.Vault
	file    string // of the vault
	log     *journal
	runtime string
}

// quick are timings for tests.
func quick() pluginhost.Timings {
	return pluginhost.Timings{
		FirstStart: patience,
		Backoff:    100 * time.Millisecond,
		MaxBackoff: time.Second,
	}
}

// start starts a host on the named plugins, and checks at the end of the test
// that it can be closed in time and leaves nothing behind.
func start(t testing.TB, timings pluginhost.Timings, names ...string) *world {
	t.Helper()
	return startIn(t, timings, pluginsDir(t, names...))
}

func startIn(t testing.TB, timings pluginhost.Timings, dir string) *world {
	t.Helper()
	return startWith(t, pluginhost.Config{Dir: dir, Timings: timings})
}

// startWith starts a host with cfg, and what every test needs in the fields
// that are not set.
func startWith(t testing.TB, cfg pluginhost.Config) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "internal.db")
	if cfg.Vault == nil {
		cfg.Vault = newVaultAt(t, file)
	}
	w := &world{t: t, runtime: shortDir(t), vault: cfg.Vault, file: file, log: &journal{}}
	cfg.RuntimeDir, cfg.HostVersion = w.runtime, "0.0-test"
	cfg.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Entry = entered()
	if cfg.Settings == nil {
		cfg.Settings = func(plugin string) (any, error) { return map[string]any{"for": plugin}, nil }
	}
	host, err := pluginhost.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Host = host
	t.Cleanup(w.close)
	return w
}

// close closes the host, at most once.
func (w *world) close() {
	w.t.Helper()
	began := time.Now()
	if err := w.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		w.t.Errorf("closing took %s", took)
	}
	if left, err := os.ReadDir(w.runtime); err != nil || len(left) > 0 {
		w.t.Errorf("left in the runtime folder: %v %v", left, err)
	}
	if left := processesOf(w.runtime); len(left) > 0 {
		w.t.Errorf("processes that are left: %v", left)
	}
	for _, status := range w.Status() {
		if status.State != secrets.PluginStopped && status.State != secrets.PluginDisabled {
			w.t.Errorf("%s is %s after the end", status.Name, status.State)
		}
	}
	if w.t.Failed() {
		w.t.Logf("the log was:\n%.20000s", w.log.without("HEALTHY_KEY got it"))
	}
}

// entered is what TestMain got, as this is not a plugin.
func entered() sandbox.Entry { return sandbox.Enter(nil) }

// thisKernel is what the system of the tests offers.
func thisKernel() sandbox.Kernel { return entered().Probe() }

// withoutNamespaces is the same for a system that keeps them for others.
func withoutNamespaces() sandbox.Kernel {
	kernel := thisKernel()
	kernel.Namespaces = sandbox.NoNamespaces
	return kernel
}

// status is that of one plugin.
func (w *world) status(name string) secrets.PluginStatus {
	w.t.Helper()
	for _, status := range w.Status() {
		if status.Name == name {
			return status
		}
	}
	w.t.Fatalf("no status of %s", name)
	return secrets.PluginStatus{}
}

// failsWith waits until the plugin has failed for a reason that contains text.
func (w *world) failsWith(name, text string) {
	w.t.Helper()
	eventually(w.t, func() error {
		status := w.status(name)
		if status.State == secrets.PluginReady || !strings.Contains(status.LastError, text) {
			return fmt.Errorf("%s is %s with %q, want %q", name, status.State, status.LastError, text)
		}
		return nil
	})
}

// isReady waits until the plugin is ready.
func (w *world) isReady(name string) {
	w.t.Helper()
	eventually(w.t, func() error {
		if status := w.status(name); status.State != secrets.PluginReady {
			return fmt.Errorf("%s is %s: %s", name, status.State, status.LastError)
		}
		return nil
	})
}

// says waits until the log contains text, and returns its line.
func (w *world) says(text string) (line string) {
	w.t.Helper()
	eventually(w.t, func() error {
		for found := range strings.Lines(w.log.text()) {
			if strings.Contains(found, text) {
				line = found
				return nil
			}
		}
		return fmt.Errorf("the log does not say %q", text)
	})
	return line
}

// isUnharmed checks that the plugin "healthy" never failed and still works.
func (w *world) isUnharmed() {
	w.t.Helper()
	if status := w.status("healthy"); status.State != secrets.PluginReady || status.Restarts != 0 || status.LastError != "" {
		w.t.Errorf("the healthy plugin is %+v", status)
	}
	before := strings.Count(w.log.text(), "HEALTHY_KEY got it from database")
	eventually(w.t, func() error {
		if strings.Count(w.log.text(), "HEALTHY_KEY got it from database") == before {
			return fmt.Errorf("the healthy plugin gets no secret any more")
		}
		return nil
	})
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			t.FailNow()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// newVault makes a vault that holds HEALTHY_KEY.
func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	return newVaultAt(t, filepath.Join(t.TempDir(), "internal.db"))
}

func newVaultAt(t testing.TB, file string) *vault.Vault {
	t.Helper()
	v, err := openVault(file, t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openVault(path string, cleanup func(func())) (*vault.Vault, error) {
	ctx := context.Background()
	store, _, err := db.Open(ctx, path, time.Now)
	if err != nil {
		return nil, err
	}
	cleanup(func() { store.Close() })
	key, err := keyring.Generate()
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Parse(key)
	if err != nil {
		return nil, err
	}
	policy, err := access.New(access.Config{Root: true})
	if err != nil {
		return nil, err
	}
	v := vault.New(vault.Config{DB: store, Keys: keys, Policy: policy, AllowUndeclared: true, Now: time.Now})
	root := secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}
	_, err = v.Put(ctx, root, "HEALTHY_KEY", secrets.NewValue("a-value-nobody-may-see"), "")
	return v, err
}

// shortDir is a temporary folder whose path leaves room for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// processesOf are the running plugins whose host has its private folder in
// dir. Their programs have no names, but each works in a folder of its own.
func processesOf(dir string) (found []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if folder, err := os.Readlink(link); err == nil && strings.HasPrefix(folder, dir+"/") {
			found = append(found, filepath.Dir(link)+" "+folder)
		}
	}
	return found
}

// journal keeps the host's log.
type journal struct {
	mu   sync.Mutex
	data bytes.Buffer
}

var _ io.Writer = (*journal)(nil)

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.data.Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.data.String()
}

// without is the text without the lines that contain part.
func (j *journal) without(part string) string {
	var kept strings.Builder
	for line := range strings.Lines(j.text()) {
		if !strings.Contains(line, part) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
