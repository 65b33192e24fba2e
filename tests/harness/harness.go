// Package harness runs the real programs for black-box tests: the host and
// plugins, built from this tree, and Python's Datasette from the virtual
// environment that "make test" sets up.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Key is the encryption key of the tests, and Secret what signs their cookies.
const (
	Key    = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
	Secret = "1"
)

// patience bounds every wait for a program. It is long: a machine may be busy
// with other things, and a test that passes never waits for it.
const patience = time.Minute

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

var (
	buildMutex sync.Mutex
	built      = map[string]string{}
)

// Build builds the command in a folder of the repository, once for each test
// process, and returns the executable.
func Build(t testing.TB, folder string) string {
	t.Helper()
	buildMutex.Lock()
	defer buildMutex.Unlock()
	if path, ok := built[folder]; ok {
		return path
	}
	lookAtSources(t)
	// Made once for all test processes, which is quick where nothing changed; then
	// linked under the number of this one, so that it stays what it is when
	// another makes it anew.
	common := shared(filepath.FromSlash(folder))
	args := []string{"build", "-ldflags=-w", "-o", common}
	if race {
		common += "-race"
		args = []string{"build", "-ldflags=-w", "-race", "-o", common}
	}
	path := own(filepath.Base(folder))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	defer lock(t, common)()
	cmd := exec.Command("go", append(args, "./"+folder)...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, out)
	}
	os.Remove(path) // of a process with the same number
	if err := os.Link(common, path); err != nil {
		t.Fatal(err)
	}
	built[folder] = path
	return path
}

// lookAtSources lets the go command know what these tests depend on. It caches
// the result of a test by the files that the test looked at, and cannot see
// what a program is built of that the test runs.
func lookAtSources(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(Root(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "build" || name == "node_modules" || strings.HasPrefix(name, ".")) && path != Root() {
			return filepath.SkipDir
		}
		_, _ = os.Stat(path) // an editor's file may be gone by now
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Clean removes what Build made. Call it at the end of TestMain.
func Clean() { os.RemoveAll(own("")) }

// own is where this process keeps what it made.
func own(name string) string {
	return filepath.Join(Root(), "build", "test", fmt.Sprint(os.Getpid()), name)
}

// Soak tells whether "make soak" runs the tests: then a long campaign runs
// whole, and otherwise only a short piece of it.
func Soak() bool { return os.Getenv("SOAK") != "" }

// Binary is the executable of the host.
func Binary(t testing.TB) string { return Build(t, "cmd/datasette-secrets") }

// PluginDir returns a new folder with a plugin in it: the command in folder,
// under the name datasette-secrets-plugin-NAME.
func PluginDir(t testing.TB, name, folder string) string {
	t.Helper()
	dir := t.TempDir()
	AddPlugin(t, dir, name, folder)
	return dir
}

// AddPlugin puts a plugin into dir.
func AddPlugin(t testing.TB, dir, name, folder string) {
	t.Helper()
	data, err := os.ReadFile(Build(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	WriteFile(t, filepath.Join(dir, "datasette-secrets-plugin-"+name), string(data), 0o755)
}

// Reading are the arguments that let the sandbox of a plugin read folders.
func Reading(name string, folders ...string) []string {
	list, err := json.Marshal(folders)
	if err != nil {
		panic(err) // not of a list of texts
	}
	return []string{"-s", "plugins.datasette-secrets.plugins." + name + ".read", string(list)}
}

// Env is the environment that tests give to the programs: only what they need
// to run.
func Env(extra ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8"}
	if race {
		env = append(env, "GORACE=atexit_sleep_ms=0") // it would sleep for a second at every exit
	}
	return append(env, extra...)
}

// Result is what a finished program left.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs the host's command line to its end. dir is the working directory;
// a new folder if empty.
func Run(t testing.TB, dir string, args ...string) Result {
	t.Helper()
	return RunCommand(t, dir, Env(), Binary(t), args...)
}

// RunCommand runs any program to its end.
func RunCommand(t testing.TB, dir string, env []string, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &stdout, &stderr, dir, env
	if dir == "" {
		cmd.Dir = t.TempDir()
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", program, err)
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
