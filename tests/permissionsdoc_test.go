package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/permissions.md are run with the configuration that
// stands there, and the first prints what stands there. Its tables are run by
// internal/vault.
func TestPermissionsDocument(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/permissions.md")
	block := func(language string) string {
		t.Helper()
		found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("docs/permissions.md has no block of %q", language)
		}
		return found[1]
	}
	dir, plugins := t.TempDir(), t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), block("yaml"), 0o600)
	harness.WriteFile(t, filepath.Join(dir, "secrets.key"), harness.Key, 0o600)
	probe := harness.AddProbe(t, plugins, "datasette-llm", pluginapi.Secret{Name: "OPENAI_API_KEY"})
	env := harness.Env("PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH"))
	started := append([]string{"--internal", "internal.db", "-c", "datasette.yml", "--get", "/"}, probe.Args...)
	if r := harness.RunCommand(t, dir, env, harness.Binary(t), started...); r.Code != 0 || strings.Contains(r.Stderr, "protects nothing") {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	for i, command := range strings.Split(strings.TrimSpace(block("sh")), "\n") {
		r := harness.RunCommand(t, dir, env, "/bin/sh", "-ec", command)
		if r.Code != 0 || r.Stdout == "" {
			t.Errorf("%s: exit code %d\n%s", command, r.Code, r.Stderr)
		}
		if i == 0 && !strings.Contains(text, "```\n"+r.Stdout+"```") {
			t.Errorf("%s prints\n%s", command, r.Stdout)
		}
	}
	for _, action := range access.Actions() {
		if !strings.Contains(text, "`"+action.Name+"`") {
			t.Errorf("docs/permissions.md says nothing about the action %s", action.Name)
		}
	}
}
