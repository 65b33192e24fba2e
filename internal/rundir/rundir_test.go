package rundir_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
)

// holderVariable tells a run of this program to make a folder there and wait.
const holderVariable = "RUNDIR_TEST_HOLDER"

func TestMain(m *testing.M) {
	base := os.Getenv(holderVariable)
	if base == "" {
		os.Exit(m.Run())
	}
	dir, err := rundir.Make(base, 10)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(dir.Path)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
	_ = dir.Remove()
}

// holder starts a process that holds a folder in base.
func holder(t *testing.T, base string) (dir string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderVariable+"="+base)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, base) {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	return strings.TrimSpace(line), sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func TestFolderIsPrivate(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", t.TempDir()} {
		dir, err := rundir.Make(base, 10)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir.Path)
		if err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("got %v, %v", info, err)
		}
		if base != "" && filepath.Dir(dir.Path) != base {
			t.Errorf("%s is not in %s", dir.Path, base)
		}
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is left: %v", err)
		}
	}
}

func TestPathThatIsTooLongLeavesNothing(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), strings.Repeat("x", 90))
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	if dir, err := rundir.Make(base, 10); err == nil || !strings.Contains(err.Error(), "too long for unix sockets") {
		t.Errorf("got %v, %v", dir, err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if dir, err := rundir.Make(filepath.Join(base, "missing"), 10); err == nil {
		t.Errorf("made %s in a folder that is not there", dir.Path)
	}
}

// Folders of the dead are swept, whatever is in them, and no others.
func TestSweep(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dead, kill := holder(t, base)
	living, killLater := holder(t, base)
	defer killLater()
	deep := filepath.Join(dead, "p1", "home", "deep")
	must(t, os.MkdirAll(deep, 0o700))
	precious := filepath.Join(t.TempDir(), "precious")
	must(t, os.WriteFile(precious, []byte("precious"), 0o600))
	must(t, os.Symlink(filepath.Dir(precious), filepath.Join(deep, "link")))
	must(t, os.Chmod(deep, 0))

	foreign := filepath.Join(base, "secrets-of-somebody")
	open := filepath.Join(base, "secrets-1")
	pointing := filepath.Join(base, "secrets-2")
	for _, dir := range []string{foreign, open} {
		must(t, os.Mkdir(dir, 0o700))
	}
	must(t, os.WriteFile(filepath.Join(open, "datasette-secrets.lock"), nil, 0o600))
	must(t, os.Chmod(open, 0o755))
	must(t, os.Symlink(living, pointing))

	sweep := func() {
		dir, err := rundir.Make(base, 10)
		must(t, err)
		must(t, dir.Remove())
	}
	sweep()
	exist(t, dead, living, foreign, open, pointing, precious)
	kill()
	sweep()
	exist(t, living, foreign, open, pointing, precious)
	if _, err := os.Lstat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a dead process is left: %v", err)
	}
}

// Many begin and sweep at the same time, and nobody loses a folder.
func TestSweepersMeet(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 20 {
				dir, err := rundir.Make(base, 10)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(filepath.Join(dir.Path, "socket"), nil, 0o600); err != nil {
					t.Error(err)
				}
				if err := dir.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A plugin cannot keep its files by closing its folders to their owner.
func TestRemoveWhatIsClosed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 { // whom no mode keeps out: somebody else has to try
		base, err := os.MkdirTemp("", "rundir")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(base) })
		must(t, os.Chown(base, nobody, nobody))
		program := filepath.Join(base, "test")
		data, err := os.ReadFile(os.Args[0])
		must(t, err)
		must(t, os.WriteFile(program, data, 0o755))
		again := exec.Command(program, "-test.run", "^"+t.Name()+"$")
		again.Env = append(os.Environ(), "TMPDIR="+base)
		again.Dir, again.SysProcAttr = base, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if text, err := again.CombinedOutput(); err != nil {
			t.Errorf("as nobody: %v\n%s", err, text)
		}
		return
	}
	dir, err := rundir.Make(t.TempDir(), 10)
	must(t, err)
	deep := filepath.Join(dir.Path, "a", "b", "c")
	must(t, os.MkdirAll(deep, 0o700))
	must(t, os.WriteFile(filepath.Join(deep, "file"), nil, 0o600))
	must(t, os.Chmod(deep, 0))
	must(t, os.Chmod(filepath.Dir(deep), 0o500))
	must(t, dir.Remove())
	if _, err := os.Lstat(dir.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

// nobody is the user and group of nobody in particular.
const nobody = 65534

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exist(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
}
