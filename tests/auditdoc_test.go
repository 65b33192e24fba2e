package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/audit.md are run as they stand there, one after the
// other, on a database that a host with the configuration there has opened.
func TestAuditDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := harness.Env("PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH"))
	text := read(t, "docs/audit.md")
	configuration := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	if configuration == nil {
		t.Fatal("docs/audit.md has no configuration")
	}
	elsewhere := filepath.Join(t.TempDir(), "kept.heads")
	harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), strings.Replace(configuration[1], "/var/lib/elsewhere/kept.heads", elsewhere, 1), 0o600)
	run := func(command string) {
		t.Helper()
		if r := harness.RunCommand(t, dir, env, "/bin/sh", "-ec", command); r.Code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
	run("datasette-secrets key add --out secrets.key")
	run("datasette-secrets --internal internal.db -c datasette.yml --get /")
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		commands += strings.Count(block[1], "\n")
		run(block[1])
	}
	if commands < 12 {
		t.Errorf("only %d commands were run", commands)
	}
	// The file that the host keeps heads in is one for --head.
	run("datasette-secrets audit verify --head '" + elsewhere + "' --internal internal.db")
	row := regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\| ")
	var columns []string
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		columns = append(columns, strings.ReplaceAll(strings.ReplaceAll(m[1], "`", ""), ", ", ","))
	}
	first, _, _ := strings.Cut(read(t, "internal/db/logrow.go")[strings.Index(read(t, "internal/db/logrow.go"), "return []string{"):], "}")
	want := strings.Join(regexp.MustCompile(`[a-z_]+`).FindAllString(strings.TrimPrefix(first, "return []string{"), -1), ",")
	if got := strings.Join(columns, ","); got != want {
		t.Errorf("docs/audit.md has the columns %s, the table %s", got, want)
	}
}
