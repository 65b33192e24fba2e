// Package sdknode_test runs plugins in Node under the real host. The SDK comes
// from the package that npm would publish, installed into a clean folder.
package sdknode_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// patience bounds every wait. Node starts in a second, unless the machine is
// busy.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

func root() secrets.Actor { return secrets.Actor{"id": "root"} }

// The SDK's own tests, and the types of its code.
func TestUnits(t *testing.T) {
	t.Parallel()
	r := harness.RunCommand(t, filepath.Join(harness.Root(), "sdk", "node"), os.Environ(), "npm", "test")
	if r.Code != 0 {
		t.Errorf("npm test: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// What npm would publish is what authors need and nothing else.
func TestPackage(t *testing.T) {
	t.Parallel()
	installed := filepath.Join(harness.NodePackage(t), "node_modules", "datasette-secrets-plugin")
	entries, err := os.ReadDir(installed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{"LICENSE", "README.md", "index.d.ts", "lib", "package.json", "testing.d.ts"}; !reflect.DeepEqual(names, want) {
		t.Errorf("the package holds %v, want %v", names, want)
	}
	// An author in TypeScript gets the types, also without those of Node.
	dir := harness.NodeDir(t)
	harness.WriteFile(t, filepath.Join(dir, "author.ts"), `
import { NotSetError, currentActor, secret, serve, type Host, type Plugin } from "datasette-secrets-plugin";
import { run } from "datasette-secrets-plugin/testing";
async function start(host: Host, signal: AbortSignal): Promise<void> {
	const length: number = (await host.getSecret("KEY", { actorId: "root", signal })).reveal().length;
	host.logger.info("length", { length, not: new NotSetError().code });
	for await (const change of host.watch(["KEY"], { signal })) {
		const version: number = (await host.getSecrets([change.name])).get(change.name).version;
		host.logger.info(change.kind, { version });
	}
}
const plugin: Plugin = {
	registerSecrets: () => [secret("KEY", { description: "a key", redact: { suffix: 4 } })],
	start,
	async serveHTTP(request, response) {
		for await (const _ of request);
		response.end(request.method + " " + currentActor()?.id);
	},
};
run(plugin, { secrets: { KEY: "k" } }, async (host) => {
	const { status, text } = await host.http("GET", "/", { actor: { id: "ann" } });
	const [use] = host.uses;
	host.set("KEY", status + text + use.actorId);
});
serve(plugin);
`, 0o644)
	tsc := filepath.Join(harness.Root(), "sdk", "node", "node_modules", ".bin", "tsc")
	r := harness.RunCommand(t, dir, os.Environ(), tsc, "--noEmit", "--strict", "--ignoreConfig",
		"--module", "nodenext", "--target", "es2022", "--types", "", "author.ts")
	if r.Code != 0 {
		t.Errorf("tsc: %s%s", r.Stdout, r.Stderr)
	}
	lock, err := os.ReadFile(filepath.Join(harness.Root(), "sdk", "node", "package-lock.json"))
	if err != nil || strings.Contains(string(lock), `"resolved"`) {
		t.Errorf("package-lock.json names the addresses of a registry: %v", err)
	}
}

// startProbe starts a host with a probe in Node that declares KEY and OTHER.
func startProbe(t *testing.T, o harness.Options) (*harness.Process, *harness.Probe, string) {
	t.Helper()
	dir := harness.NodeDir(t)
	probe := harness.AddNodeProbe(t, dir, "probe",
		pluginapi.Secret{Name: "KEY", Description: "A <em>key</em>", ObtainURL: "https://example.com/keys", ObtainLabel: "Get a key"},
		pluginapi.Secret{Name: "OTHER"})
	o.Args = append(append([]string{"--root"}, probe.Args...), o.Args...)
	host := harness.Start(t, o)
	return host, probe, dir
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	host, probe, _ := startProbe(t, harness.Options{Env: []string{"DATASETTE_SECRETS_OTHER=from environment"}})
	wantPlugin(t, host, "probe", "ready")
	page := host.Get(t, "/-/secrets/KEY", root())
	for _, want := range []string{"A <em>key</em>", `href="https://example.com/keys"`, "Get a key"} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	wantError(t, probe, "KEY", pluginapi.ErrNotSet)
	wantError(t, probe, "UNDECLARED", pluginapi.ErrDenied)
	if can, err := probe.Can(t, "UNDECLARED", "root"); can || err != nil {
		t.Errorf("may use what it did not declare: %t, %v", can, err)
	}
	for _, value := range []string{"hunter2", "zwölf\t☃\n\x00", strings.Repeat("x", 500_000)} {
		if r := host.SetSecret(t, "KEY", value, "", root()); r.StatusCode != http.StatusFound {
			t.Fatalf("setting a value: %d", r.StatusCode)
		}
		if got, err := probe.Get(t, "KEY", "zoë"); got != value || err != nil {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(value))
		}
	}
	if page := host.Get(t, "/-/secrets/KEY", root()); !strings.Contains(page.Text, "zoë") {
		t.Error("the page does not say by whom the secret was used")
	}
	want := []pluginapi.SecretStatus{{Name: "KEY", Set: true, Source: "database"}, {Name: "OTHER", Set: true, Source: "env"}}
	if got := probe.List(t); !reflect.DeepEqual(got, want) {
		t.Errorf("the plugin lists %v, want %v", got, want)
	}
	if config := probe.Config(t); !strings.Contains(config, `"socket":"/`) {
		t.Errorf("the configuration is %s", config)
	}
	if strings.Contains(host.Stderr.String(), "hunter2") {
		t.Error("the value is in the log")
	}
}

// Values are kept while the host tells of changes, if an administrator allows
// it.
func TestKeepsValues(t *testing.T) {
	t.Parallel()
	host, probe, _ := startProbe(t, harness.Options{Args: harness.KeepValues()})
	harness.CheckKeptValues(t, host, probe)
}

func TestNotConfigured(t *testing.T) {
	t.Parallel()
	_, probe, _ := startProbe(t, harness.Options{NoKey: true})
	wantError(t, probe, "KEY", pluginapi.ErrNotConfigured)
}

// A stored value that the keys do not fit: the host was given another key.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	host, probe, _ := startProbe(t, harness.Options{Args: []string{"--internal", file}})
	host.SetSecret(t, "KEY", "hunter2", "", root())
	host.Stop(t)
	other := strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)
	args := append([]string{"--internal", file, "-s", "plugins.datasette-secrets.encryption-key", other}, probe.Args...)
	harness.Start(t, harness.Options{Args: args})
	wantError(t, probe, "KEY", pluginapi.ErrIntegrity)
}

// A plugin whose start fails ends with code 1, and is started again.
func TestRestart(t *testing.T) {
	t.Parallel()
	host, probe, _ := startProbe(t, harness.Options{})
	host.SetSecret(t, "KEY", "hunter2", "", root())
	wantValue(t, probe, "KEY", "hunter2")
	probe.Fail(t)
	host.Logs(t, "told to fail")
	host.Logs(t, "exit status 1")
	wantValue(t, probe, "KEY", "hunter2") // the next life
	wantPlugin(t, host, "probe", "ready")
}

// A plugin that fails to declare is shown as failing, and why is in the log
// only.
func TestRefusing(t *testing.T) {
	t.Parallel()
	dir := harness.NodeDir(t)
	harness.AddNodeProbe(t, dir, "probe")
	harness.WriteFile(t, filepath.Join(dir, "probe.json"), `{"Refuse": true}`, 0o644)
	host := harness.Start(t, harness.Options{Args: append(harness.Reading("probe", filepath.Dir(dir)), "--root", "--plugins-dir", dir)})
	host.Logs(t, "told to refuse")
	wantShown(t, host, `RegisterSecrets failed \(Internal\)`)
	if strings.Contains(host.Get(t, "/-/plugins", root()).Text, "told to refuse") {
		t.Error("the page shows the author's own words")
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	host, probe, dir := startProbe(t, harness.Options{})
	wantError(t, probe, "KEY", pluginapi.ErrNotSet)
	began := time.Now()
	if code := host.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, host.Stderr)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if n := processes(t, dir); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

func TestKilledHostEndsPlugin(t *testing.T) {
	t.Parallel()
	host, probe, dir := startProbe(t, harness.Options{})
	wantError(t, probe, "KEY", pluginapi.ErrNotSet)
	if processes(t, dir) == 0 {
		t.Fatal("no plugin runs")
	}
	host.Kill()
	for deadline := time.Now().Add(patience); processes(t, dir) != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the plugin outlived its host")
		}
	}
}

// The example has its own tests, and runs in the sandbox.
func TestExample(t *testing.T) {
	t.Parallel()
	dir, lines := harness.NodeDir(t), 0
	harness.WriteFile(t, filepath.Join(dir, "package.json"), read(t, "examples/plugin-node/package.json"), 0o644)
	for name, mode := range map[string]os.FileMode{
		"datasette-secrets-plugin-translator": 0o755, "translator.js": 0o644, "translator.test.js": 0o644,
	} {
		text := read(t, "examples/plugin-node/"+name)
		harness.WriteFile(t, filepath.Join(dir, name), text, mode)
		if name != "translator.test.js" {
			lines += strings.Count(text, "\n")
		}
	}
	if lines > 40 {
		t.Errorf("the example has %d lines", lines)
	}
	tests := harness.RunCommand(t, dir, os.Environ(), "node", "--test")
	if tests.Code != 0 || !strings.Contains(tests.Stdout, "# pass 2") {
		t.Errorf("its tests: exit code %d\n%s%s", tests.Code, tests.Stdout, tests.Stderr)
	}
	harness.RunExample(t, "translator", append(harness.Reading("translator", filepath.Dir(dir)), "--plugins-dir", dir)...)
}

// Every other block of the README runs as it stands there too.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme := read(t, "sdk/node/README.md")
	blocks := regexp.MustCompile("(?s)```js\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) != 5 {
		t.Fatalf("%d blocks of code, and 5 are known here", len(blocks))
	}
	watch, weather, program, test := blocks[1][1], blocks[2][1], blocks[3][1], blocks[4][1]
	dir := harness.NodeDir(t)
	harness.WriteFile(t, filepath.Join(dir, "weather.js"), weather, 0o644)
	harness.WriteFile(t, filepath.Join(dir, "weather.test.js"), test, 0o644)
	harness.WriteFile(t, filepath.Join(dir, "watch.test.js"), `
import { test } from "node:test";
import { secret } from "datasette-secrets-plugin";
import { run } from "datasette-secrets-plugin/testing";
const seen = [];
const weather = {
	registerSecrets: () => [secret("WEATHER_KEY")],
	connect: (key) => seen.push(key.reveal()),
	disconnect: (why) => seen.push(why),
	`+watch+`
};
test("watch", () => run(weather, async (host) => {
	await host.until(() => seen.join() === "opened");
	host.set("WEATHER_KEY", "wk-1");
	await host.until(() => seen.join() === "opened,wk-1");
	host.unset("WEATHER_KEY");
	await host.until(() => seen.join() === "opened,wk-1,revoked");
}));
`, 0o644)
	tests := harness.RunCommand(t, dir, os.Environ(), "node", "--test")
	if tests.Code != 0 || !strings.Contains(tests.Stdout, "# pass 2") {
		t.Errorf("the tests: exit code %d\n%s%s", tests.Code, tests.Stdout, tests.Stderr)
	}
	command := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(readme)[1]
	if want := "datasette-secrets --plugins-dir plugins --root \\\n" +
		"  -s plugins.datasette-secrets.plugins.weather.read \"[\\\"$PWD/plugins\\\"]\"\n"; command != want {
		t.Fatalf("the README says %q; this test must do what it says instead", command)
	}
	harness.AddNodePlugin(t, dir, "weather", program)
	harness.CheckHooks(t, filepath.Join(dir, "datasette-secrets-plugin-weather"), filepath.Dir(dir))
	harness.RunHooks(t, append(harness.Reading("weather", filepath.Dir(dir)), "--plugins-dir", dir)...)
}

// Every program of the documents is a plugin that the host can start.
func TestPrograms(t *testing.T) {
	t.Parallel()
	programs := map[string]string{}
	block := regexp.MustCompile("(?s)```js\n(#!.*?)```")
	for name, path := range map[string]string{"sdk": "sdk/node/README.md", "docs": "docs/plugins.md"} {
		found := block.FindStringSubmatch(read(t, path))
		if found == nil {
			t.Fatalf("%s has no program", path)
		}
		programs[name] = found[1]
	}
	dir := harness.NodeDir(t)
	args := []string{"--root", "--plugins-dir", dir}
	for name, program := range programs {
		harness.AddNodePlugin(t, dir, name, program)
		args = append(args, harness.Reading(name, filepath.Dir(dir))...)
	}
	host := harness.Start(t, harness.Options{Args: args})
	for name := range programs {
		wantPlugin(t, host, name, "ready")
	}
	page := host.Get(t, "/-/secrets", root()).Text
	for _, declared := range []string{"WEATHER_KEY", "STATUS_PAGE_TOKEN"} {
		if !strings.Contains(page, declared) {
			t.Errorf("%s is not declared", declared)
		}
	}
	host.Logs(t, "waiting for WEATHER_KEY")
}

func wantValue(t *testing.T, probe *harness.Probe, name, want string) {
	t.Helper()
	if got, err := probe.Get(t, name, "root"); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func wantError(t *testing.T, probe *harness.Probe, name string, want error) {
	t.Helper()
	if got, err := probe.Get(t, name, "root"); !errors.Is(err, want) || got != "" {
		t.Errorf("%s: %q, %v, want %v", name, got, err, want)
	}
}

// wantPlugin waits until the host shows a plugin in a state.
func wantPlugin(t *testing.T, host *harness.Process, name, state string) {
	t.Helper()
	wantShown(t, host, `<h2[^>]*>`+name+`( <span class="by">[^<]*</span>)? <span class="badge badge-`+state+`">`)
}

// wantShown waits until the page of plugins matches a pattern.
func wantShown(t *testing.T, host *harness.Process, pattern string) {
	t.Helper()
	shown := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if shown.MatchString(host.Get(t, "/-/plugins", root()).Text) {
			return
		}
	}
	t.Errorf("the page of plugins does not show %s\n%s", pattern, host.Stderr)
}

// processes is how many processes run a program of a folder.
func processes(t *testing.T, dir string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-c", "-f", dir+"/datasette-secrets-plugin-").Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
