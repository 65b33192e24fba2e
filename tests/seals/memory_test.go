package seals

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

// An operator is told when keys may be written to swap.
func TestUnlockedMemoryIsTold(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "memory") // not t.TempDir: others must get in
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "datasette-secrets")
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for limit, told := range map[string]bool{"0": true, "1024": false} {
		cmd := exec.Command("/bin/sh", "-c", "ulimit -l "+limit+` && exec "$0" "$@"`, binary,
			"--internal", limit+".db", "-s", "plugins.datasette-secrets.encryption-key", harness.Key, "--get", "/")
		cmd.Dir, cmd.Env = dir, harness.Env("HOME=/")
		if os.Geteuid() == 0 { // root may lock all memory
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "limit on locked memory") != told {
			t.Errorf("with %s KB: %v\n%s", limit, err, stderr.String())
		}
	}
}
