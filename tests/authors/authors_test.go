// Package authors tests what the program offers to authors of plugins: that it
// begins their projects, checks their plugins and runs them while they write.
package authors

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	// The tests wait for programs most of their time, so more of them run side
	// by side than there are processors.
	flag.Parse()
	if given := flag.Lookup("test.parallel"); given.Value.String() == given.DefValue {
		given.Value.Set("4")
	}
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// report is what "plugin test --json" prints.
type report struct {
	Result         string
	Passed, Failed int
	Program, Hash  string
	SandboxMissing []string `json:"sandbox_missing"`
	Checks         []struct{ Name, Result, Reason, Fix string }
	rest           string
}

// forTests are arguments of the kit: a busy machine gets more time, and a short
// run restarts less often.
func forTests() string {
	if harness.Soak() {
		return "--slow 10"
	}
	return "--slow 10 --restarts 3"
}

// pluginTest runs the conformance kit.
func pluginTest(t *testing.T, path string, args ...string) report {
	t.Helper()
	got := harness.Run(t, "", slices.Concat([]string{"plugin", "test", path, "--json"}, strings.Fields(forTests()), args)...)
	var r report
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil {
		t.Fatalf("%v, exit code %d\n%s%s", err, got.Code, got.Stdout, got.Stderr)
	}
	r.rest = got.Stdout + got.Stderr
	if (got.Code == 0) != (r.Result == "pass") {
		t.Errorf("exit code %d, result %q", got.Code, r.Result)
	}
	return r
}

func (r report) outcome(name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Result
		}
	}
	return "no such check"
}

// build builds a command of this repository as its users do, without the race
// detector, which needs more memory than a plugin has.
func build(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "datasette-secrets-plugin-"+filepath.Base(folder))
	cmd := exec.Command("go", "build", "-o", path, "./"+folder)
	cmd.Dir = harness.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, out)
	}
	return path
}

// The examples pass the kit in each language, and so does the demo.
func TestExamplesPass(t *testing.T) {
	t.Parallel()
	python := func(t *testing.T) (string, []string) {
		text, err := os.ReadFile(filepath.Join(harness.Root(), "examples/plugin-python/translator.py"))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		harness.WritePythonPlugin(t, dir, "python", string(text))
		return filepath.Join(dir, "datasette-secrets-plugin-python"), reading(harness.PythonFolders(t, harness.PythonSDK(t)))
	}
	node := func(t *testing.T) (string, []string) {
		dir := harness.NodeDir(t)
		for _, name := range []string{"translator.js", "datasette-secrets-plugin-translator"} {
			text, err := os.ReadFile(filepath.Join(harness.Root(), "examples/plugin-node", name))
			if err != nil {
				t.Fatal(err)
			}
			harness.WriteFile(t, filepath.Join(dir, name), string(text), 0o755)
		}
		return filepath.Join(dir, "datasette-secrets-plugin-translator"), reading([]string{harness.NodePackage(t)})
	}
	for name, plugin := range map[string]func(*testing.T) (path string, args []string){
		"go":     func(t *testing.T) (string, []string) { return build(t, "examples/plugin-go"), nil },
		"demo":   func(t *testing.T) (string, []string) { return build(t, "plugins/demo"), nil },
		"python": python,
		"node":   node,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, args := plugin(t)
			if name == "demo" && !harness.Soak() { // which is written like the one in Go
				args = append(args, "--only", "restarts", "--only", "secrecy")
			}
			r := pluginTest(t, path, args...)
			if r.Failed > 0 || r.outcome("restarts") != "pass" {
				t.Error(r.rest)
			}
			if r.outcome("secrecy") != "pass" {
				t.Errorf("it reads a secret, but %s", r.rest)
			}
			if name != "demo" && r.outcome("watch") != "pass" {
				t.Errorf("it watches its secrets, but %s", r.rest)
			}
		})
	}
}

// reading are the arguments that let a plugin read folders.
func reading(folders []string) (args []string) {
	for _, folder := range folders {
		args = append(args, "--read", folder)
	}
	return args
}

// The kit starts a plugin as a host does: with the same variables around it,
// and nothing else.
func TestTheSameEnvironment(t *testing.T) {
	t.Parallel()
	path := build(t, "tests/testdata/plugins/flawed")
	kit := pluginTest(t, path, "--only", "handshake", "--", "environment").rest
	host := harness.Run(t, "", "plugins", "--plugins-dir", filepath.Dir(path),
		"-s", "plugins.datasette-secrets.plugins.flawed.args", `["environment"]`,
		"-s", "plugins.datasette-secrets.plugins.flawed.memory", "128MiB").Stderr
	inKit, inHost := variables(t, kit), variables(t, host)
	if inKit != inHost {
		t.Errorf("in the kit:\n%s\nin the host:\n%s", inKit, inHost)
	}
}

func variables(t *testing.T, output string) string {
	t.Helper()
	_, after, found := strings.Cut(output, "variables: ")
	if !found {
		t.Fatalf("no variables in %s", output)
	}
	line, _, _ := strings.Cut(after, `"`)
	line, _, _ = strings.Cut(line, "\n")
	return line
}
