package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/api"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The commands of docs/api.md do what it says, one after the other, on a
// running host.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := harness.Start(t, harness.Options{Args: []string{"--internal", "internal.db"}, Dir: dir})
	env := harness.Env("PATH="+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"), "URL="+p.URL)
	text := read(t, "docs/api.md")
	ran, said := 0, ""
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			r := harness.RunCommand(t, dir, env, "/bin/sh", "-c", line)
			if r.Code != 0 {
				t.Errorf("%s: exit code %d\n%s", strings.TrimSpace(line), r.Code, r.Stderr)
			}
			ran++
			said += r.Stdout
		}
	}
	if ran < 18 {
		t.Errorf("only %d commands were run", ran)
	}
	for _, part := range []string{`"value":"sk_test_1","version":1,"source":"database"`, "304\n", `{"name":"OTHER","allowed":false}`, `"version":2`, `"description":"Pays the invoices"`} {
		if !strings.Contains(said, part) {
			t.Errorf("the commands did not say %s:\n%s", part, said)
		}
	}
	for code, status := range api.Statuses() {
		if !strings.Contains(text, fmt.Sprintf("\n| `%s` | %d | ", code, status)) {
			t.Errorf("docs/api.md does not tell of %s (%d)", code, status)
		}
	}
	for _, route := range api.Routes() {
		_, path, _ := strings.Cut(route, " ")
		if path, _, _ = strings.Cut(path, "{"); !strings.Contains(text, "/-/api/v1"+path) {
			t.Errorf("docs/api.md does not tell of %s", route)
		}
	}
}
