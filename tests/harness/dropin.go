package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
//
// Datasette makes its tables in a transaction that reads first (BEGIN, in
// sqlite-utils' atomic), so at its first start on a file it ends with "database is
// locked" if another program writes between its read and its first table. It is
// started again then, as docs/datasette.md says to.
func StartDatasetteOf(t testing.TB, python string, o Options) *Process {
	t.Helper()
	args := []string{"-m", "datasette", "serve", "-p", "0", "--secret", or(o.Secret, Secret)}
	if !o.NoKey {
		args = append(args, "-s", "plugins.datasette-secrets.encryption-key", Key)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	args = append(args, o.Args...)
	env := Env(append(o.Env, "PYTHONUNBUFFERED=1")...)
	for try := 1; ; try++ {
		cmd := exec.Command(python, args...)
		cmd.Env, cmd.Dir = env, o.Dir
		p, serves := launch(t, cmd, uvicorn)
		if serves {
			return p
		}
		if try == 5 || !strings.Contains(p.Stderr.String(), "database is locked") {
			t.Fatalf("Datasette ended before it served:\n%s", p.Stderr)
		}
		t.Log("Datasette met a lock at its start")
	}
}

var uvicorn = regexp.MustCompile(`Uvicorn running on (http://[^ ]+)`)
