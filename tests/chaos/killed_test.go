package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// soon is how long a plugin may outlive its host. A second would do for any
// machine that is not as busy as that of a test.
const soon = 5 * time.Second

// When the program itself is killed, no plugin outlives it, in whatever
// language, and none of the processes that it left behind. The next host sweeps
// what they had on disk.
func TestNothingOutlivesTheProgram(t *testing.T) {
	dir := harness.NodeDir(t)
	harness.AddPlugin(t, dir, "forkstays", "tests/testdata/plugins/misbehave")
	harness.AddPlugin(t, dir, "stubborn", "tests/testdata/plugins/misbehave")
	harness.WritePythonPlugin(t, dir, "python", `
import os, signal, time
from datasette_secrets_plugin import serve

class Forks:
    def register_secrets(self):
        return []

    def start(self, host):
        host.stopping.wait()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(3600)
    time.sleep(3600)
serve(Forks())
`)
	harness.AddNodePlugin(t, dir, "node", `#!/usr/bin/env node
import { serve } from "datasette-secrets-plugin";
import { spawn } from "node:child_process";

spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "ignore" });
serve({ registerSecrets: () => [] });
`)
	runtime := t.TempDir()
	options := harness.Options{Dir: t.TempDir(), Env: []string{"TMPDIR=" + runtime}, Args: append(append(
		[]string{"--plugins-dir", dir},
		harness.PythonReading(t, "python", harness.PythonSDK(t))...),
		harness.Reading("node", harness.NodePackage(t))...)}
	p := harness.Start(t, options)
	var family []process
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if family = descendants(p.Cmd.Process.Pid); len(family) >= 8 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("only these run: %v\n%s", family, p.Stderr)
		}
	}
	folders := foldersOf(family)
	if len(folders) != 1 {
		t.Fatalf("the folders of one host are %v", folders)
	}

	p.Kill()
	killed := time.Now()
	for {
		left := alive(family)
		if len(left) == 0 {
			break
		}
		if time.Since(killed) > soon {
			t.Fatalf("still running: %v", left)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%d processes ended within %v", len(family), time.Since(killed).Round(time.Millisecond))

	harness.Start(t, options).Stop(t)
	for folder := range folders {
		if _, err := os.Lstat(folder); !os.IsNotExist(err) {
			t.Errorf("the killed host left %s (%v)", folder, err)
		}
	}
}

// process tells one process from another that gets its number later.
type process struct {
	pid   int
	began string
}

// descendants are all processes that come from one.
func descendants(ancestor int) (all []process) {
	parents := map[int]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if state, parent := stat(file); state != "Z" {
			parents[pid] = parent
		}
	}
	for pid := range parents {
		for up := parents[pid]; up != 0; up = parents[up] {
			if up == ancestor {
				all = append(all, process{pid, began(pid)})
				break
			}
		}
	}
	return all
}

// began is when a process began, empty if it is no more.
func began(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))[19]
}

// alive are those that have not ended.
func alive(family []process) (left []process) {
	for _, p := range family {
		state, _ := stat(fmt.Sprintf("/proc/%d/stat", p.pid))
		if state != "" && state != "Z" && syscall.Kill(p.pid, 0) == nil && began(p.pid) == p.began {
			left = append(left, p)
		}
	}
	return left
}

// foldersOf are the private folders of the host of these processes.
func foldersOf(family []process) map[string]bool {
	folders := map[string]bool{}
	for _, p := range family {
		home, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid))
		if err == nil && filepath.Base(home) == "home" {
			folders[filepath.Dir(filepath.Dir(home))] = true
		}
	}
	return folders
}
