package pluginhost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

func TestNoFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nowhere")
	_, err := pluginhost.Start(t.Context(), pluginhost.Config{Dir: dir})
	if err == nil || err.Error() != "the folder of plugins "+dir+" does not exist" {
		t.Errorf("the error is %v", err)
	}
}

func TestRuntimeDirIsTooLong(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := pluginhost.Start(t.Context(), pluginhost.Config{Dir: pluginsDir(t), RuntimeDir: base})
	if err == nil || !strings.Contains(err.Error(), "too long for unix sockets") {
		t.Errorf("the error is %v", err)
	}
}

func TestEmptyFolder(t *testing.T) {
	t.Parallel()
	w := start(t, quick())
	if status := w.Status(); len(status) != 0 {
		t.Errorf("there are plugins: %v", status)
	}
}

// Files that are no plugins are left out.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t, "healthy")
	for name, mode := range map[string]os.FileMode{
		"README":                            0o755,
		"datasette-secrets-plugin-plain":    0o644,
		"datasette-secrets-plugin-bad name": 0o755,
		"datasette-secrets-plugin-":         0o755,
		// Its block of the configuration would be the host's own.
		"datasette-secrets-plugin-datasette-secrets": 0o755,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(pluginFile(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := startIn(t, quick(), dir)
	if status := w.Status(); len(status) != 1 || status[0].Name != "healthy" {
		t.Errorf("the plugins are %+v", status)
	}
	w.says("chmod +x makes it a plugin")
}

// What others could have written is not run, until it is mended.
func TestLooseModes(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t, "healthy")
	copyFile(t, os.Getenv(programVariable), pluginFile(dir, "loose"))
	if err := os.Chmod(pluginFile(dir, "loose"), 0o775); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pluginFile(dir, "healthy"), pluginFile(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	w := startIn(t, quick(), dir)
	w.failsWith("loose", "can be written by other users; run: chmod go-w "+pluginFile(dir, "loose"))
	w.failsWith("linked", "is not a regular file")
	w.isUnharmed()
	if err := os.Chmod(pluginFile(dir, "loose"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.isReady("loose")
}

func TestLooseFolder(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t, "healthy")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	w := startIn(t, quick(), dir)
	w.failsWith("healthy", "the folder of plugins can be written by other users; run: chmod go-w "+dir)
}

func TestForeignOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := pluginsDir(t)
	copyFile(t, os.Getenv(programVariable), pluginFile(dir, "foreign"))
	if err := os.Chown(pluginFile(dir, "foreign"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	w := startIn(t, quick(), dir)
	w.failsWith("foreign", "its file belongs to another user")
}

// A script without an interpreter, a program for another machine: the reason
// is told.
func TestCannotBeExecuted(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	if err := os.WriteFile(pluginFile(dir, "text"), []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pluginFile(dir, "script"), []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := startIn(t, quick(), dir)
	w.failsWith("text", "could not be executed: exec format error")
	w.failsWith("script", "could not be executed: no such file or directory")
}

// A script is as good as a program.
func TestScript(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	writeScript(t, dir, "#!/bin/sh\nread -r line\necho \"length ${#line} $1 $0\" >&2\n/bin/true || echo denied >&2\nexit 7\n")
	w := startWith(t, pluginhost.Config{Dir: dir, Timings: quick(), Grants: map[string]pluginhost.Grant{"script": {Args: []string{"word"}}}})
	w.failsWith("script", "it ended before the handshake (exit status 7)")
	if line := w.says("length "); !strings.Contains(line, "word") || !strings.Contains(line, "/store/sha256-") {
		t.Errorf("the line is %s", line)
	}
	w.says("denied")
	if state := w.status("script").State; state == secrets.PluginReady {
		t.Error("a script without a handshake is ready")
	}
}

// The pipes of a plugin are ordinary ones.
func TestPipesBlock(t *testing.T) {
	t.Parallel()
	dir := pluginsDir(t)
	writeScript(t, dir, "#!/bin/sh\ngrep -H ^flags /proc/self/fdinfo/[012] >&2\nexit 7\n")
	w := startWith(t, pluginhost.Config{Dir: dir, Timings: quick(), Sandbox: sandbox.Off})
	w.failsWith("script", "it ended before the handshake (exit status 7)")
	w.says("fdinfo")
	for line := range strings.Lines(w.log.text()) {
		if strings.Contains(line, "fdinfo") && strings.Contains(line, "4000") {
			t.Errorf("a pipe does not block: %s", line)
		}
	}
}

func writeScript(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(pluginFile(dir, "script"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
