package tests

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The real program holds its plugins as the kernel sees it, and keeps its own
// memory to itself.
func TestProgramSandboxesPlugins(t *testing.T) {
	t.Parallel()
	dir := harness.PluginDir(t, "demo", "plugins/demo")
	p := harness.Start(t, harness.Options{Args: []string{"--plugins-dir", dir, "--internal", "internal.db"}})
	status := pluginStatus(t, p.Cmd.Process.Pid)
	for _, want := range []string{`NoNewPrivs:\s1`, `Seccomp:\s2`, `CapEff:\s0000000000000000`, `CapBnd:\s0000000000000000`} {
		if os.Geteuid() != 0 && strings.HasPrefix(want, "CapBnd") {
			continue // nothing is gained by dropping what nobody can have
		}
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("its status lacks %s:\n%s", want, status)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.Cmd.Process.Pid))
	if err != nil || !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("the host's limits are %v\n%s", err, limits)
	}
}

// pluginStatus is what the kernel says about the host's only child.
func pluginStatus(t *testing.T, host int) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), fmt.Sprintf("\nPPid:\t%d\n", host)) {
			return string(data)
		}
	}
	t.Fatal("no plugin runs")
	return ""
}

// Another process of the host's user cannot look into the host.
func TestProgramHidesItsMemory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can try this as somebody else")
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	binary := filepath.Join(shared(t), "host")
	data, err := os.ReadFile(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	host := exec.Command(binary, "-p", "0")
	host.Dir, host.SysProcAttr = "/tmp", nobody
	output, err := host.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Process.Kill(); _ = host.Wait() }()
	waitFor(t, output, "serving on")
	for _, file := range []string{"mem", "environ", "maps"} {
		look := exec.Command("/usr/bin/head", "-c", "1", fmt.Sprintf("/proc/%d/%s", host.Process.Pid, file))
		look.SysProcAttr = nobody
		if text, err := look.CombinedOutput(); err == nil || !strings.Contains(string(text), "Permission denied") {
			t.Errorf("%s can be read: %v, %q", file, err, text)
		}
	}
}

// shared is a folder that every user can read.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shared")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// waitFor reads lines until one contains text, and leaves the rest to be read.
func waitFor(t *testing.T, r io.Reader, text string) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return
		}
	}
	t.Fatalf("the output ended without %q", text)
}
