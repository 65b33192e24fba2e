package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150 are allowed", n)
	}
}

// The plugins of the documents are built as they stand there.
func TestPluginsInDocsBuild(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```go\n(package main\n.*?)```")
	for _, name := range []string{"README.md", "docs/plugins.md"} {
		found := slices.DeleteFunc(block.FindAllStringSubmatch(read(t, name), -1), func(m []string) bool {
			return !strings.Contains(m[1], "\nfunc main()") // a test, which belongs to something else
		})
		if len(found) == 0 {
			t.Errorf("%s has no program", name)
		}
		for i, m := range found {
			// Inside the module, so that it needs no module of its own.
			dir, err := os.MkdirTemp("testdata", "docs-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
				t.Errorf("program %d of %s: %v\n%s", i+1, name, err, out)
			}
		}
	}
}

// Every file that a document links to exists.
func TestLinksInDocs(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^):]+)\)`)
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(docs, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}

// The commands of the README that start the host without make do so.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	for _, want := range []string{
		"make demo", "make test",
		"(umask 077 && ./datasette-secrets generate-encryption-key > secrets.key)",
		"./datasette-secrets --internal internal.db --root -c datasette.yml",
	} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md no longer says %q; this test must run what it says instead", want)
		}
	}
	configuration := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readme)
	if configuration == nil {
		t.Fatal("README.md has no configuration")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "datasette.yml"), []byte(configuration[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	env := harness.Env("PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH"))
	made := harness.RunCommand(t, dir, env, "/bin/sh", "-c", "umask 077 && datasette-secrets generate-encryption-key > secrets.key")
	if made.Code != 0 {
		t.Fatal(made.Stderr)
	}
	info, err := os.Stat(filepath.Join(dir, "secrets.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	got := harness.RunCommand(t, dir, env, harness.Binary(t), "--internal", "internal.db", "--root", "-c", "datasette.yml",
		"--actor", `{"id": "alice"}`, "--get", "/-/secrets")
	if got.Code != 0 || !strings.Contains(got.Stdout, "EXAMPLE_SECRET") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

// make demo, on a copy of what it needs: the key is made once, private, and a
// lost key is noticed.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, folder := range []string{"scripts", "build/plugins"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, "../scripts/demo", filepath.Join(dir, "scripts/demo"))
	copyFile(t, harness.Binary(t), filepath.Join(dir, "build/datasette-secrets"))
	harness.AddPlugin(t, filepath.Join(dir, "build/plugins"), "demo", "plugins/demo")

	demo := func() harness.Result {
		return harness.RunCommand(t, dir, harness.Env(), "./scripts/demo", "-s", "permissions.manage-secrets", "true", "--get", "/-/secrets")
	}
	key := filepath.Join(dir, "internal.db.key")
	var first string
	for i := range 2 {
		got := demo()
		if got.Code != 0 || !strings.Contains(got.Stdout, "DEMO_API_KEY") {
			t.Fatalf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
		}
		data, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 && string(data) != first {
			t.Error("the key was made again")
		}
		first = string(data)
	}
	for _, name := range []string{"internal.db", "internal.db.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if got := demo(); got.Code == 0 || !strings.Contains(got.Stderr, "put the key back") {
		t.Errorf("without its key: exit code %d, %s", got.Code, got.Stderr)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// Every setting that the README names is one that the program knows, and the
// exit codes of the help are complete.
func TestSettingsInReadme(t *testing.T) {
	t.Parallel()
	help := harness.Run(t, "", "--help-settings").Stdout
	row := regexp.MustCompile("(?m)^\\| `settings\\.\\*` \\| (.*?) \\|").FindStringSubmatch(read(t, "README.md"))
	if row == nil {
		t.Fatal("README.md has no row about settings")
	}
	for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
		if !strings.Contains(help, name[1]) {
			t.Errorf("README.md names the setting %s, which --help-settings does not", name[1])
		}
	}
	usage := harness.Run(t, "", "--help").Stdout
	for code := range 9 {
		if !strings.Contains(usage, fmt.Sprintf("\n  %d    ", code)) {
			t.Errorf("the help does not tell exit code %d", code)
		}
	}
}
