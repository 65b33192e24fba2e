package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/keys.md are run as they stand there, one after the
// other, in a folder with the configurations that stand there.
func TestKeysDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := harness.Env("PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH"))
	blocks := regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(read(t, "docs/keys.md"), -1)
	commands := 0
	for _, block := range blocks {
		if block[1] == "yaml" {
			harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), block[2], 0o600)
			continue
		}
		commands += strings.Count(block[2], "\n")
		if r := harness.RunCommand(t, dir, env, "/bin/sh", "-ec", block[2]); r.Code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", block[2], r.Code, r.Stdout, r.Stderr)
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands were run", commands)
	}
	// What the text says happens next.
	for _, command := range []string{"rotate", "retire default", "rotate --resume", "status"} {
		if command == "rotate --resume" {
			harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), "plugins: {datasette-secrets: {encryption-key: {$file: new.key}}}", 0o600)
		}
		r := harness.RunCommand(t, dir, env, "/bin/sh", "-ec", "datasette-secrets key "+command+" --internal internal.db -c datasette.yml")
		if command == "rotate" {
			// There is no row that is not under the new key yet, so that it asks
			// for another one.
			if r.Code != 2 || !strings.Contains(r.Stderr, "one by one") {
				t.Errorf("key rotate: exit code %d\n%s", r.Code, r.Stderr)
			}
			continue
		}
		if r.Code != 0 {
			t.Errorf("key %s: exit code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
}
