package sdk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func root() secrets.Actor { return secrets.Actor{"id": "root"} }

// running is a host with a Python probe under it.
type running struct {
	*harness.Process
	probe *harness.Probe
	dir   string // of the plugins
	args  []string
}

func start(t *testing.T, env []string, declare ...pluginapi.Secret) *running {
	t.Helper()
	dir := t.TempDir()
	probe := harness.AddPythonProbe(t, dir, "probe", declare...)
	args := append(probe.Args, "--root", "--internal", filepath.Join(t.TempDir(), "internal.db"))
	return &running{harness.Start(t, harness.Options{Args: args, Env: env}), probe, dir, args}
}

// processes returns the numbers of the processes of the folder's plugins.
func (r *running) processes(t *testing.T) []int {
	t.Helper()
	out, err := exec.Command("pgrep", "-f", r.dir+"/datasette-secrets-plugin-").Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var found []int
	for _, text := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

// wait waits until something is so.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

func wantPage(t *testing.T, r harness.Response, texts ...string) {
	t.Helper()
	if r.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d", r.Request.URL, r.StatusCode)
	}
	for _, text := range texts {
		if !strings.Contains(r.Text, text) {
			t.Errorf("%s: the page lacks %q:\n%s", r.Request.URL, text, r.Text)
		}
	}
}

func (r *running) wantValue(t *testing.T, name, want string) {
	t.Helper()
	if got, err := r.probe.Get(t, name, "root"); got != want || err != nil {
		t.Errorf("%s: %q, %v, want %q", name, got, err, want)
	}
}

func (r *running) wantError(t *testing.T, name string, want error) {
	t.Helper()
	if got, err := r.probe.Get(t, name, "root"); !errors.Is(err, want) || got != "" {
		t.Errorf("%s: %q, %v, want %v", name, got, err, want)
	}
}

func TestPythonUnderTheHost(t *testing.T) {
	t.Parallel()
	host := start(t, []string{"DATASETTE_SECRETS_FROM_ENV=\xff from environment"},
		pluginapi.Secret{Name: "KEY", Description: "Key of <em>Python</em>", ObtainURL: "https://example.com/keys", ObtainLabel: "Get one"},
		pluginapi.Secret{Name: "FROM_ENV"})

	wantPage(t, host.Get(t, "/-/secrets", root()), "KEY", "Key of <em>Python</em>", "https://example.com/keys", "Get one")
	host.wantError(t, "KEY", pluginapi.ErrNotSet)
	host.wantError(t, "OTHER", pluginapi.ErrDenied)
	if can, err := host.probe.Can(t, "KEY", "root"); !can || err != nil {
		t.Errorf("may use what it declared: %t, %v", can, err)
	}
	if can, err := host.probe.Can(t, "OTHER", "root"); can || err != nil {
		t.Errorf("may use what it did not declare: %t, %v", can, err)
	}
	for _, value := range []string{"hunter2", "ünï ☃\r\n2", strings.Repeat("x", 1<<20)} {
		host.SetSecret(t, "KEY", value, "", root())
		host.wantValue(t, "KEY", value)
	}
	want := []pluginapi.SecretStatus{{Name: "KEY", Set: true, Source: "database"}, {Name: "FROM_ENV", Set: true, Source: "env"}}
	if got := host.probe.List(t); !reflect.DeepEqual(got, want) {
		t.Errorf("lists %v, want %v", got, want)
	}
	var config struct{ Socket string }
	if err := json.Unmarshal([]byte(host.probe.Config(t)), &config); err != nil || config.Socket == "" {
		t.Errorf("configuration %q, %v", host.probe.Config(t), err)
	}
	wantPage(t, host.Get(t, "/-/plugins", root()), "probe", "register_secrets", "start")

	if code := host.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, host.Stderr)
	}
	if left := host.processes(t); len(left) != 0 {
		t.Errorf("%d processes outlived the host", len(left))
	}
	if strings.Contains(host.Stderr.String(), "hunter2") || strings.Contains(host.Stderr.String(), "Traceback") {
		t.Errorf("logged\n%s", host.Stderr)
	}
}

// Values are kept while the host tells of changes, if an administrator allows
// it.
func TestPythonKeepsValues(t *testing.T) {
	t.Parallel()
	probe := harness.AddPythonProbe(t, t.TempDir(), "probe", pluginapi.Secret{Name: "KEY"}, pluginapi.Secret{Name: "OTHER"})
	args := append(harness.KeepValues(), probe.Args...)
	harness.CheckKeptValues(t, harness.Start(t, harness.Options{Args: append(args, "--root")}), probe)
}

func TestPythonErrors(t *testing.T) {
	t.Parallel()
	host := start(t, nil, pluginapi.Secret{Name: "KEY"})
	host.SetSecret(t, "KEY", "hunter2", "", root())
	host.Stop(t)
	other := strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)
	wrong := harness.Start(t, harness.Options{Args: append(host.args, "-s", "plugins.datasette-secrets.encryption-key", other)})
	host.wantError(t, "KEY", pluginapi.ErrIntegrity)
	wrong.Stop(t)
	harness.Start(t, harness.Options{Args: host.args, NoKey: true})
	host.wantError(t, "KEY", pluginapi.ErrNotConfigured)
}

func TestPythonRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.AddPythonPlugin(t, dir, "probe", "tests/testdata/plugins/probe-python/probe.py")
	if err := os.WriteFile(filepath.Join(dir, "probe.json"), []byte(`{"Refuse": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	host := harness.Start(t, harness.Options{Args: append(harness.PythonReading(t, "probe", harness.PythonSDK(t), dir), "--root", "--plugins-dir", dir)})
	wantPage(t, host.Get(t, "/-/plugins", root()), "RegisterSecrets failed")
	host.Logs(t, "told to refuse")
}

// A plugin that is killed comes back.
func TestPythonStartsAgain(t *testing.T) {
	t.Parallel()
	host := start(t, nil, pluginapi.Secret{Name: "KEY"})
	host.SetSecret(t, "KEY", "hunter2", "", root())
	host.wantValue(t, "KEY", "hunter2")
	first := host.processes(t)
	if len(first) != 1 {
		t.Fatalf("%d processes", len(first))
	}
	if err := syscall.Kill(first[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, "a new process", func() bool {
		now := host.processes(t)
		return len(now) == 1 && now[0] != first[0]
	})
	wait(t, "a value", func() bool {
		got, err := host.probe.Get(t, "KEY", "root")
		return got == "hunter2" && err == nil
	})
}

func TestPythonEndsWithAKilledHost(t *testing.T) {
	t.Parallel()
	host := start(t, nil, pluginapi.Secret{Name: "KEY"})
	host.wantError(t, "KEY", pluginapi.ErrNotSet)
	if len(host.processes(t)) == 0 {
		t.Fatal("no plugin runs")
	}
	host.Kill()
	wait(t, "the end of the plugin", func() bool { return len(host.processes(t)) == 0 })
}

// The example is installed from its own package, and its console entry point
// copied into the folder of plugins, as its README says. Its own tests run in
// the same environment.
func TestPythonExample(t *testing.T) {
	t.Parallel()
	python := harness.PythonSDK(t)
	harness.InstallPython(t, python, "examples/plugin-python")
	tests := harness.RunCommand(t, filepath.Join(harness.Root(), "examples", "plugin-python"),
		harness.Env("PYTHONDONTWRITEBYTECODE=1"), python, "-m", "unittest")
	if tests.Code != 0 || !strings.Contains(tests.Stderr, "Ran 2 tests") {
		t.Errorf("its tests: exit code %d\n%s", tests.Code, tests.Stderr)
	}
	const name = "datasette-secrets-plugin-translator"
	script, err := os.ReadFile(filepath.Join(filepath.Dir(python), name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, name), string(script), 0o755)
	harness.RunExample(t, "translator", append(harness.PythonReading(t, "translator", python), "--plugins-dir", dir)...)
	if n := strings.Count(read(t, "examples/plugin-python/translator.py"), "\n"); n > 40 {
		t.Errorf("the example has %d lines", n)
	}
}

// The plugins of the documents run as they stand there: what they wait for a
// minute to do, they do at once.
func TestPythonInDocs(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?ms)^( *)```python\n *(#!.*?)^ *```")
	for _, name := range []string{"sdk/python/README.md", "docs/plugins.md"} {
		m := block.FindStringSubmatch(read(t, name))
		if m == nil {
			t.Errorf("%s has no program in Python", name)
			continue
		}
		text := regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[2], "")
		dir := t.TempDir()
		harness.WritePythonPlugin(t, dir, "docs", strings.ReplaceAll(text, "wait(60)", "wait(0.1)"))
		host := harness.Start(t, harness.Options{Args: append(harness.PythonReading(t, "docs", harness.PythonSDK(t), dir), "--root", "--plugins-dir", dir)})
		secret := regexp.MustCompile(`"([A-Z_]{5,})"`).FindStringSubmatch(text)[1]
		wantPage(t, host.Get(t, "/-/secrets", root()), secret)
		host.Logs(t, "waiting for "+secret)
	}
}

// Every other program of the README runs as it stands there too, and so do the
// commands, but for where the environment is and how the package gets into it.
func TestPythonReadme(t *testing.T) {
	t.Parallel()
	readme := read(t, "sdk/python/README.md")
	blocks := regexp.MustCompile("(?ms)^```python\n(.*?)^```").FindAllStringSubmatch(readme, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of code that are not indented, and 3 are known here", len(blocks))
	}
	watch, hooks, test := blocks[0][1], blocks[1][1], blocks[2][1]
	dir, python := t.TempDir(), harness.PythonSDK(t)

	harness.WritePythonPlugin(t, dir, "weather", hooks)
	harness.WriteFile(t, filepath.Join(dir, "test_weather.py"), test, 0o600)
	run := func(what, script string) {
		t.Helper()
		if got := harness.RunCommand(t, dir, harness.Env(), python, "-c", script); got.Code != 0 {
			t.Errorf("%s: exit code %d\n%s", what, got.Code, got.Stderr)
		}
	}
	run("the test", "import test_weather; test_weather.test_weather()")
	run("the watch", `
from datasette_secrets_plugin import NotSet, Secret
from datasette_secrets_plugin.testing import run
class Weather:
    register_secrets = lambda self: [Secret("WEATHER_KEY")]
    connect = lambda self, key: seen.append(key.reveal())
    disconnect = lambda self: seen.append(None)
`+regexp.MustCompile("(?m)^").ReplaceAllString(watch, "    ")+`
seen = []
with run(Weather()) as host:
    host.until(lambda: seen == [None])
    host.set("WEATHER_KEY", "wk-1")
    host.until(lambda: seen == [None, "wk-1"])
    host.unset("WEATHER_KEY")
    host.until(lambda: seen == [None, "wk-1", None])
`)

	commands := regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(readme, -1)
	if len(commands) != 2 || strings.Join(strings.Fields(commands[0][1]), " ") != "python3 -m venv /opt/weather /opt/weather/bin/pip install ./sdk/python" {
		t.Fatalf("the README says %q; this test must do what it says instead", commands)
	}
	begin, granted, _ := strings.Cut(strings.Join(strings.Fields(strings.ReplaceAll(commands[1][1], "\\\n", "")), " "), " -s ")
	if begin != "chmod 755 datasette-secrets-plugin-weather datasette-secrets --plugins-dir . --root" ||
		granted != `plugins.datasette-secrets.plugins.weather.read '["/opt/weather"]'` {
		t.Fatalf("the README says %q; this test must do what it says instead", commands[1][1])
	}
	harness.CheckHooks(t, filepath.Join(dir, "datasette-secrets-plugin-weather"), harness.PythonFolders(t, python)...)
	harness.RunHooks(t, append(harness.PythonReading(t, "weather", python), "--plugins-dir", dir)...)
}

// The package's own tests: values, errors, log lines, and that the generated
// code is current.
func TestPythonUnits(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	got := harness.RunCommand(t, filepath.Join(harness.Root(), "sdk", "python"), harness.Env("PYTHONPYCACHEPREFIX="+cache),
		harness.Python(t), "-m", "pytest", "-q", "-p", "no:cacheprovider")
	if got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
