package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

var (
	dropinMutex sync.Mutex
	dropin      string
)

// Dropin is an interpreter in an environment with Datasette and plugins from
// PyPI, and with sdk/datasette in the place of PyPI's datasette-secrets. It is
// made once for each test process and removed by Clean.
func Dropin(t testing.TB) string {
	t.Helper()
	dropinMutex.Lock()
	defer dropinMutex.Unlock()
	if dropin != "" {
		return dropin
	}
	lookAtSources(t)
	packages := filepath.Join(Root(), ".venv", "dropin")
	if _, err := os.Stat(packages); err != nil {
		t.Fatalf("Datasette's plugins are not installed; run: make test-setup")
	}
	env := filepath.Join(Root(), "build", "test", fmt.Sprint(os.Getpid()), "dropin")
	must(t, exec.Command(Python(t), "-m", "venv", "--without-pip", env))
	python := filepath.Join(env, "bin", "python")
	folder, err := exec.Command(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Beside and not in it, for installing 50 packages takes a while.
	WriteFile(t, filepath.Join(string(folder), "packages.pth"), packages+"\n", 0o600)
	InstallPython(t, python, "sdk/datasette")
	dropin = python
	return python
}

// StartDropin starts Datasette with sdk/datasette on a free port. With NoKey
// nothing but the arguments configures it.
func StartDropin(t testing.TB, o Options) *Process {
	t.Helper()
	return StartDatasetteOf(t, Dropin(t), o)
}

// StartDatasetteOf is StartDatasette for another interpreter.
func StartDatasetteOf(t testing.TB, python string, o Options) *Process {
	t.Helper()
	args := []string{"-m", "datasette", "serve", "-p", "0", "--secret", or(o.Secret, Secret)}
	if !o.NoKey {
		args = append(args, "-s", "plugins.datasette-secrets.encryption-key", Key)
	}
	cmd := exec.Command(python, append(args, o.Args...)...)
	cmd.Env = Env(append(o.Env, "PYTHONUNBUFFERED=1")...)
	cmd.Dir = o.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	return run(t, cmd, regexp.MustCompile(`Uvicorn running on (http://[^ ]+)`))
}
