package tests

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// plugins returns how many processes run a program of this folder.
func plugins(t *testing.T, dir string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-c", "-f", dir+"/datasette-secrets-plugin-").Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// The first signal ends everything in order within five seconds, whatever the
// plugins do and clients leave open.
func TestFirstSignalStopsInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir := harness.PluginDir(t, "stubborn", "tests/testdata/plugins/misbehave")
			harness.AddPlugin(t, dir, "demo", "plugins/demo")
			p := harness.Start(t, harness.Options{Args: []string{"--plugins-dir", dir, "--internal", "internal.db"}})
			slowClient(t, p)
			if plugins(t, dir) == 0 {
				t.Fatal("no plugin runs")
			}
			began := time.Now()
			if err := p.Cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if code := p.Wait(t); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.Stderr)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if plugins(t, dir) != 0 {
				t.Error("a plugin outlived the host")
			}
		})
	}
}

// slowClient begins a request and never ends it.
func slowClient(t *testing.T, p *harness.Process) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("POST /-/secrets/X HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsecret=")); err != nil {
		t.Fatal(err)
	}
}

// The second signal ends the host at once, and the kernel ends its plugins.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	dir := harness.PluginDir(t, "stubborn", "tests/testdata/plugins/misbehave")
	p := harness.Start(t, harness.Options{Args: []string{"--plugins-dir", dir, "--internal", "internal.db"}})
	began := time.Now()
	for range 2 {
		if err := p.Cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // two signals at once would be one
	}
	if code := p.Wait(t); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopping took %v", took)
	}
	for deadline := time.Now().Add(5 * time.Second); plugins(t, dir) != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a plugin outlived the host")
		}
	}
}
