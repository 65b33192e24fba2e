package pluginhost_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

func rootCaller() secrets.Caller {
	return secrets.Caller{Actor: secrets.NewActor("root"), Proof: secrets.ProofSignedIn}
}

// This test is not parallel, so that it runs while no other host does. When
// "leaves" has ended, go-plugin still makes a connection, and forgets it.
func TestNothingIsLeft(t *testing.T) {
	timings := quick()
	timings.Handshake, timings.Call = 2*time.Second, 2*time.Second
	timings.Probe, timings.ProbeDial = 20*time.Millisecond, 40*time.Millisecond
	modes := []string{"healthy", "unlinks", "silent", "garbage", "exits", "hung", "stopearly", "forks", "panics", "huge", "stubborn", "elsewhere", "mute", "leaves"}
	timings.Look = 10 * time.Millisecond
	before := descriptors(t)
	dir := pluginsDir(t, modes...)
	w := startIn(t, timings, dir)
	for _, mode := range modes {
		eventually(t, func() error {
			status := w.status(mode)
			if status.State == secrets.PluginReady || status.LastError != "" {
				return nil
			}
			return fmt.Errorf("%s is %s", mode, status.State)
		})
	}
	w.isReady("stubborn")
	replace(t, pluginFile(dir, "stubborn"), behaving("garbage", 1)) // does not take over
	w.isReady("healthy")
	for number := range 3 {
		hash := w.status("healthy").Hash
		replace(t, pluginFile(dir, "healthy"), behaving("healthy", number))
		w.becomesAnother("healthy", hash)
	}
	w.says("new file does not work; the former goes on")
	w.close()
	eventually(t, func() error {
		if now := descriptors(t); len(now) > len(before) {
			return fmt.Errorf("open are %q, and before were %q", now, before)
		}
		return nil
	})
	eventually(t, func() error {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(stack, "TestNothingIsLeft") {
				continue
			}
			for _, owner := range []string{"internal/pluginhost.", "hashicorp/go-plugin", "google.golang.org/grpc"} {
				if strings.Contains(stack, owner) {
					return fmt.Errorf("a goroutine is left:\n%s", stack)
				}
			}
		}
		return nil
	})
}

// descriptors are the files that this process has open, but for databases.
func descriptors(t *testing.T) (open []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil && !strings.Contains(file, "internal.db") {
			open = append(open, file)
		}
	}
	return open
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy", "exits", "panics")
	names := []string{}
	for _, status := range w.Status() {
		names = append(names, status.Name)
	}
	if want := []string{"exits", "healthy", "panics"}; !slices.Equal(names, want) {
		t.Errorf("the plugins are %q, want %q", names, want)
	}
	healthy := w.status("healthy")
	if healthy.Version != "1.2.3 [31m" {
		t.Errorf("its version is %q", healthy.Version)
	}
	if !slices.Equal(healthy.Hooks, []string{"register_secrets", "start"}) || !slices.Equal(healthy.Secrets, []string{"HEALTHY_KEY"}) {
		t.Errorf("it is %+v", healthy)
	}
	if time.Since(healthy.Since) > patience {
		t.Errorf("it is ready since %s", healthy.Since)
	}

	// What a crashed plugin declared stays known.
	w.failsWith("panics", "(exit status 2)")
	if crashed := w.status("panics"); !slices.Equal(crashed.Secrets, []string{"PANICS_KEY"}) {
		t.Errorf("it is %+v", crashed)
	}
	secret, _, err := w.vault.Show(t.Context(), rootCaller(), "PANICS_KEY")
	if err != nil || !slices.Equal(secret.DeclaredBy, []string{"panics"}) {
		t.Errorf("the vault says %+v, %v", secret, err)
	}
	eventually(t, func() error {
		if status := w.status("exits"); status.Restarts < 2 {
			return fmt.Errorf("it was started again only %d times", status.Restarts)
		}
		return nil
	})
	eventually(t, func() error {
		if status := w.status("exits"); status.State != secrets.PluginBackoff || status.NextStart.IsZero() {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
}

// A killed plugin is back soon.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "healthy")
	w.says("got it from database")
	for _, process := range processesOf(w.runtime) {
		var pid int
		if _, err := fmt.Sscanf(process, "/proc/%d ", &pid); err != nil {
			t.Fatal(err)
		}
		running, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := running.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		status := w.status("healthy")
		if status.State != secrets.PluginReady || status.Restarts != 1 {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})
	if status := w.status("healthy"); status.LastError != "it ended by itself (signal: killed)" {
		t.Errorf("it failed because %q", status.LastError)
	}
}

// Whatever the plugins do, closing takes a bounded time; while they start, too.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	timings := pluginhost.Timings{FirstStart: time.Millisecond}
	w := start(t, timings, "silent", "hung", "stubborn", "stops", "stopearly", "healthy", "flood", "forkstays")
	w.close()

	w = start(t, quick(), "stubborn", "flood", "forkstays")
	for _, status := range w.Status() {
		w.isReady(status.Name)
	}
	w.close()
}

// Without a folder for it, the private one is made in a usual place.
func TestUsualRuntimeDir(t *testing.T) {
	t.Parallel()
	log := &journal{}
	w := &world{t: t, runtime: shortDir(t), log: log}
	host, err := pluginhost.Start(t.Context(), pluginhost.Config{
		Dir:   pluginsDir(t, "snoop"),
		Entry: entered(),
		Vault: newVault(t),
		Log:   slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Host = host
	_, cwd, _ := strings.Cut(w.says("cwd "), "cwd ")
	cwd, _, _ = strings.Cut(cwd, `"`)
	private := filepath.Dir(filepath.Dir(cwd))
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the private folder is %v, %v", info, err)
	}
	w.close()
	if _, err := os.Stat(private); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the private folder is left: %v", err)
	}
}

// When the caller has no time, everything is killed at once.
func TestCloseInAHurry(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "stubborn")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := w.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("closing took %s", took)
	}
}

func TestStartGivesUp(t *testing.T) {
	t.Parallel()
	base := shortDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	dir := pluginsDir(t, "silent")
	_, err := pluginhost.Start(ctx, pluginhost.Config{Dir: dir, RuntimeDir: base, Vault: newVault(t), Timings: quick(), Entry: entered()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	if left, _ := filepath.Glob(base + "/*"); len(left) > 0 || len(processesOf(base)) > 0 {
		t.Errorf("left: %v %v", left, processesOf(base))
	}
}

// When the host is killed, its plugins die with it.
func TestHostIsKilled(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t, "healthy", "stubborn")
	host := exec.Command(os.Args[0])
	base := shortDir(t)
	host.Env = append(os.Environ(), helperVariable+"="+dir, "TMPDIR="+base)
	host.Stderr = os.Stderr
	output, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Errorf("the host said %q, %v", line, err)
	}
	if running := processesOf(base); len(running) != 2 {
		t.Errorf("running: %v", running)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	eventually(t, func() error {
		if running := processesOf(base); len(running) > 0 {
			return fmt.Errorf("still running: %v", running)
		}
		return nil
	})
	if left, _ := filepath.Glob(base + "/secrets-*"); len(left) != 1 {
		t.Errorf("it left %v", left)
	}
	// The next host sweeps it, and another that lives keeps its own.
	timings := quick()
	first, err := pluginhost.Start(t.Context(), pluginhost.Config{Dir: dir, RuntimeDir: base, Vault: newVault(t), Timings: timings, Entry: entered()})
	must(t, err)
	second, err := pluginhost.Start(t.Context(), pluginhost.Config{Dir: dir, RuntimeDir: base, Vault: newVault(t), Timings: timings, Entry: entered()})
	must(t, err)
	if left, _ := filepath.Glob(base + "/secrets-*"); len(left) != 2 || len(processesOf(base)) != 4 {
		t.Errorf("two hosts have %v and %v", left, processesOf(base))
	}
	must(t, first.Close(t.Context()))
	must(t, second.Close(t.Context()))
	if left, _ := filepath.Glob(base + "/secrets-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// beHost is the helper of TestHostIsKilled.
func beHost(dir string) {
	base := os.TempDir()
	v, err := openVault(filepath.Join(base, "internal.db"), func(func()) {})
	if err == nil {
		_, err = pluginhost.Start(context.Background(), pluginhost.Config{Dir: dir, RuntimeDir: base, Vault: v, Entry: entered()})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	time.Sleep(patience)
	os.Exit(0)
}
