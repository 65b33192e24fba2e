package tests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A database that cannot be written stops the start with a sentence that says
// what to do.
func TestReadOnlyDatabaseStopsTheStart(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "readonly") // not t.TempDir: others must get in
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "secrets.db")
	if r := harness.Run(t, dir, "secrets.db", "--create", "--get", "/-/actor.json"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	binary := filepath.Join(dir, "datasette-secrets")
	copyFile(t, harness.Binary(t), binary)
	for path, mode := range map[string]os.FileMode{file: 0o444, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"--internal", file},
		{file, "-s", "plugins.datasette-secrets.database", "secrets"},
	} {
		cmd := exec.Command(binary, append(args, "--get", "/")...)
		cmd.Env = harness.Env("HOME=/")
		if os.Geteuid() == 0 { // root may write everything
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err == nil {
			t.Errorf("%v: started", args)
		}
		if !strings.Contains(stderr.String(), "writable for this user") {
			t.Errorf("%v: %s", args, stderr.String())
		}
		if code := cmd.ProcessState.ExitCode(); code != 7 {
			t.Errorf("%v: exit code %d, want 7", args, code)
		}
	}
}
