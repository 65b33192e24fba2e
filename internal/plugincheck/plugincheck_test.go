package plugincheck_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/plugincheck"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const (
	programVariable = "PLUGINCHECK_TEST_PROGRAM"
	holdArgument    = "hold"

	// patience multiplies the limits on time. A check that passes never waits
	// for one of them.
	patience = 4
)

func TestMain(m *testing.M) {
	entry := sandbox.Enter(os.Args)
	if len(os.Args) == 2 && os.Args[1] == holdArgument {
		if err := plugincheck.Hold(context.Background(), entry, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The tests wait for programs most of their time, so more of them run side
	// by side than there are processors.
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // which needs no plugin
	}
	if given := flag.Lookup("test.parallel"); given.Value.String() == given.DefValue {
		given.Value.Set("8")
	}
	os.Exit(withProgram(m.Run))
}

// withProgram builds the flawed plugin for the time of run.
func withProgram(run func() int) int {
	dir, err := os.MkdirTemp("", "flawed")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "datasette-secrets-plugin-flawed")
	build := exec.Command("go", "build", "-o", program, "../../tests/testdata/plugins/flawed")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the plugin: %v\n%s", err, output)
		return 1
	}
	os.Setenv(programVariable, program)
	return run()
}

func config(flaw string) plugincheck.Config {
	cfg := plugincheck.Config{
		Path: os.Getenv(programVariable), Args: []string{flaw}, Slow: patience, Restarts: 3,
		Entry: sandbox.Enter(nil), Holder: []string{holdArgument},
	}
	if harness.Soak() {
		cfg.Restarts = 0 // as many as usually
	}
	return cfg
}

// check runs the kit.
func check(t *testing.T, cfg plugincheck.Config) plugincheck.Report {
	t.Helper()
	base, err := os.MkdirTemp("", "t") // the folder of a test can be too deep for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	cfg.Base = base
	report, err := plugincheck.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(cfg.Base); err != nil || len(left) > 0 {
		t.Errorf("the kit left %v, %v", left, err)
	}
	return report
}

func names(report plugincheck.Report, outcome plugincheck.Outcome) (all []string) {
	for _, result := range report.Results {
		if result.Outcome == outcome {
			all = append(all, result.Name)
		}
	}
	return all
}

func describe(report plugincheck.Report) string {
	var b strings.Builder
	for _, r := range report.Results {
		fmt.Fprintf(&b, "%s %s %q %q %q\n", r.Outcome, r.Name, r.Reason, r.Fix, r.Log)
	}
	return b.String()
}

// A plugin that offers everything and does it right passes every check.
func TestNoFlaw(t *testing.T) {
	t.Parallel()
	requireSandbox(t)
	report := check(t, config("none"))
	if !report.Passed() || report.Count(plugincheck.Skip) > 0 {
		t.Error(describe(report))
	}
	if len(report.Hash) != 64 || filepath.Base(report.Program) != "datasette-secrets-plugin-flawed" {
		t.Errorf("%q %q", report.Program, report.Hash)
	}
}

func requireSandbox(t *testing.T) {
	t.Helper()
	policy := sandbox.Policy{Mode: sandbox.Enforce, Kernel: sandbox.Enter(nil).Probe()}
	if err := policy.Refusal(); err != nil {
		t.Skip(err)
	}
}

// flaws are what the flawed plugin does wrong, by the check that must find it,
// with words of its reason.
func flaws() []struct{ flaw, check, reason string } {
	return []struct{ flaw, check, reason string }{
		{"silent", "handshake", "did not print a handshake line within"},
		{"exits", "handshake", "ended before the handshake (exit status 1)"},
		{"closes", "handshake", "closed its standard output"},
		{"garbage", "handshake", `is no handshake: "Hello! I am`},
		{"handshake", "handshake", `is no handshake: "Starting…"`},
		{"space", "handshake", "white space"},
		{"longline", "handshake", "longer than 4096 bytes"},
		{"unended", "handshake", `within the first line "1|1|unix|"`},
		{"core", "handshake", `version "2" of go-plugin's`},
		{"version", "handshake", `version "9" of the plugin protocol`},
		{"netrpc", "handshake", `"netrpc" instead of gRPC`},
		{"certificate", "certificate", `padded with "="`},
		{"unpadded", "certificate", "cannot be read"},
		{"nobase64", "certificate", "not Base64"},
		{"address", "address", "outside the folder"},
		{"tcp", "address", `the network "tcp"`},
		{"nosocket", "address", "is no socket"},
		{"cookie-succeeds", "cookie", "exit code 0"},
		{"cookie-silent", "cookie", "says nothing"},
		{"cookie-crash", "cookie", "crashes"},
		{"cookie-stays", "cookie", "still runs"},
		{"tls", "tls", "a caller without a certificate"},
		{"tls-any", "tls", "with the certificate of another host"},
		{"tls-itself", "tls", "with the certificate that it was given itself"},
		{"health", "health", "NOT_SERVING"},
		{"unhealthy", "health", "Unimplemented"},
		{"declarations", "declarations", "something else"},
		{"init", "declarations", "Init failed (Internal)"},
		{"badname", "declarations", "the name of declared secret 1"},
		{"badurl", "declarations", "https:// or http://"},
		{"twice", "declarations", "FLAWED_KEY twice"},
		{"hung", "declarations", "did not answer RegisterSecrets within"},
		{"dies", "declarations", "ended during RegisterSecrets (exit status 4)"},
		{"sandbox", "sandbox", "ended during Start (exit status 1)"},
		{"memory", "sandbox", "MiB of memory"},
		{"files", "sandbox", "ended during Start (exit status 1)"},
		{"unknown", "unknown-calls", "with Internal"},
		{"deadlines", "deadlines", "after calls that were given up, it did not answer"},
		{"concurrency", "concurrency", "of 64 calls at once failed"},
		{"validator", "validator", "TestSecret"},
		{"validator-lines", "validator", "one short line"},
		{"menu", "menu", "javascript:alert(1)"},
		{"menu-elsewhere", "menu", "//example.com/"},
		{"menu-label", "menu", `link " " to`},
		{"actors", "actors", `knows about "`},
		{"authenticator", "authenticator", "says nothing about its sender"},
		{"http", "http", "without the header Datasette-Secrets-Actor with 200"},
		{"http-unsigned", "http", "with another key with 200"},
		{"http-expired", "http", "that has expired with 200"},
		{"http-path", "http", "for another page with 200"},
		{"http-host", "http", "refuses its host's own request with 403"},
		{"http-elsewhere", "http", "no socket"},
		{"http-error", "http", "Listen failed"},
		{"http-hangs", "http", "not answered"},
		{"watch", "watch", "did not read it within"},
		{"shutdown", "shutdown", "did not answer Shutdown within"},
		{"shutdown-error", "shutdown", "Shutdown failed (Unknown)"},
		{"stdin", "stdin", "still runs"},
		{"orphan", "orphan", "after its host was killed"},
		{"restarts", "restarts", `left "plugin`},
		{"stdout", "stdout", `to standard output after the handshake: "ready!"`},
		{"secrecy", "secrecy", "FLAWED_KEY is in standard error"},
		{"secrecy-base64", "secrecy", "FLAWED_KEY is in standard error"},
		{"secrecy-hex", "secrecy", "FLAWED_KEY is in standard error"},
		{"secrecy-split", "secrecy", "FLAWED_KEY is in standard error"},
		{"secrecy-printed", "secrecy", "FLAWED_KEY is in printed output"},
		{"secrecy-message", "secrecy", "FLAWED_KEY is in the answer to TestSecret"},
	}
}

// Each flaw is found by its check, and by no other: of every check's first flaw
// that is looked at in full, and in a short run of some of them.
func TestFlaws(t *testing.T) {
	t.Parallel()
	requireSandbox(t)
	seen := map[string]bool{}
	for _, c := range flaws() {
		cfg := config(c.flaw)
		inFull := !seen[c.check] && (harness.Soak() || len(seen)%5 == 0)
		if !inFull {
			cfg.Only = []string{c.check}
		}
		if c.flaw == "secrecy-message" {
			cfg.Only = append(cfg.Only, "validator") // which asks for the message
		}
		seen[c.check] = true
		t.Run(c.flaw, func(t *testing.T) {
			t.Parallel()
			report := check(t, cfg)
			if got := names(report, plugincheck.Fail); !slices.Equal(got, []string{c.check}) {
				t.Fatalf("%v failed, want %s\n%s", got, c.check, describe(report))
			}
			for _, r := range report.Results {
				if r.Outcome != plugincheck.Fail {
					continue
				}
				if !strings.Contains(r.Reason, c.reason) || r.Fix == "" {
					t.Errorf("reason %q, to do %q", r.Reason, r.Fix)
				}
				if shown := r.Reason + r.Fix + strings.Join(r.Log, "\n"); strings.Contains(shown, "canary") || strings.Contains(shown, "\x1b") {
					t.Errorf("the report shows a value: %s", shown)
				}
			}
		})
	}
}

// Every check of the table is one that some flaw fails.
func TestEveryCheckHasAFlaw(t *testing.T) {
	t.Parallel()
	var found []string
	for _, c := range flaws() {
		found = append(found, c.check)
	}
	report := check(t, config("exits")) // names them all, and tries few
	for _, r := range report.Results {
		if !slices.Contains(found, r.Name) {
			t.Errorf("no flaw is found by %q", r.Name)
		}
	}
}

// What builds upon a failed check is not tried, and says so.
func TestBlockedChecks(t *testing.T) {
	t.Parallel()
	report := check(t, config("exits"))
	for _, r := range report.Results[1:] {
		if r.Outcome != plugincheck.Skip || !r.Blocked || !strings.Contains(r.Reason, "cannot be tried before") {
			t.Errorf("%+v", r)
		}
	}
	if log := report.Results[0].Log; !slices.Contains(log, "something is missing") {
		t.Errorf("log %q", log)
	}
}

// A process that outlives the plugin is found where no namespace ends it.
func TestLeftProcess(t *testing.T) {
	t.Parallel()
	requireSandbox(t)
	cfg := config("leaves")
	cfg.Only = []string{"restarts"}
	kernel := cfg.Entry.Probe()
	kernel.Namespaces = sandbox.NoNamespaces
	cfg.Kernel = &kernel
	report := check(t, cfg)
	if got := names(report, plugincheck.Fail); !slices.Equal(got, []string{"restarts"}) || !strings.Contains(describe(report), "left 1 other processes behind") {
		t.Error(describe(report))
	}
}

// A plugin that go-plugin makes certificates for is reached, and reaches the
// host. Without the SDK, it does not notice that its host is gone.
func TestBarePlugin(t *testing.T) {
	t.Parallel()
	requireSandbox(t)
	program := filepath.Join(t.TempDir(), "bare")
	if output, err := exec.Command("go", "build", "-o", program, "../../tests/testdata/plugins/bare").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, output)
	}
	cfg := config("")
	cfg.Path = program
	report := check(t, cfg)
	if got := names(report, plugincheck.Fail); !slices.Equal(got, []string{"stdin"}) || !slices.Contains(names(report, plugincheck.Pass), "secrecy") {
		t.Error(describe(report))
	}
}

// A system without a sandbox can still tell the rest, and says what it lacks.
func TestWithoutSandbox(t *testing.T) {
	t.Parallel()
	cfg := config("none")
	cfg.Kernel = &sandbox.Kernel{Entered: true, NoNewPrivs: true}
	report := check(t, cfg)
	if got := names(report, plugincheck.Skip); !report.Passed() || !slices.Equal(got, []string{"sandbox"}) {
		t.Error(describe(report))
	}
	if len(report.Missing) == 0 {
		t.Error("nothing is said to be missing")
	}
}

// What is wanted is done, with what it needs and nothing else.
func TestOnly(t *testing.T) {
	t.Parallel()
	cfg := config("none")
	cfg.Only = []string{"address", "tls"}
	report := check(t, cfg)
	want := []string{"handshake", "certificate", "address", "health", "tls"}
	if got := names(report, plugincheck.Pass); !slices.Equal(got, want) || len(report.Results) != len(want) {
		t.Error(describe(report))
	}
	order := plugincheck.Names()
	if order[0] != "handshake" || len(order) != 23 {
		t.Errorf("names %q", order)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	cfg := config("exits")
	var told []string
	cfg.Began = func(name, about string) { told = append(told, "began "+name) }
	cfg.Done = func(r plugincheck.Result) { told = append(told, "done "+r.Name) }
	report := check(t, cfg)
	var want []string
	for _, r := range report.Results {
		want = append(want, "began "+r.Name, "done "+r.Name)
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := config("none")
	cfg.Only = []string{"restarts"}
	var once sync.Once
	cfg.Began = func(name, _ string) {
		if name == "restarts" {
			once.Do(cancel)
		}
	}
	if _, err := plugincheck.Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNoPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(os.Getenv(programVariable), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "not a regular file",
		link:                       "not a regular file",
		plain:                      "chmod +x",
	} {
		cfg := config("")
		cfg.Path = path
		if _, err := plugincheck.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A file that cannot be executed is told as that.
func TestNoProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("\x7fELF is how it begins"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := config("")
	cfg.Path = path
	report := check(t, cfg)
	if first := report.Results[0]; first.Outcome != plugincheck.Fail || !strings.Contains(first.Reason, "could not be executed") {
		t.Errorf("%+v", first)
	}
}
