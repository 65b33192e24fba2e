package conformance_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// refusal is a command line that must fail.
type refusal struct {
	args   []string
	code   int
	stderr string // a line of it
}

func (r refusal) check(t *testing.T, dir string) {
	t.Helper()
	got := harness.Run(t, dir, r.args...)
	if got.Code != r.code {
		t.Errorf("%q: exit code %d, want %d\n%s", r.args, got.Code, r.code, got.Stderr)
	}
	if !strings.Contains("\n"+got.Stderr, "\n"+r.stderr+"\n") {
		t.Errorf("%q: standard error\n%s\nlacks the line\n%s", r.args, got.Stderr, r.stderr)
	}
	if got.Stdout != "" {
		t.Errorf("%q: standard output %q", r.args, got.Stdout)
	}
}

func Test01DatabaseFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	created := harness.Run(t, dir, "serve", "data.db", "--create", "--get", "/-/databases.json")
	if created.Code != 0 || !strings.Contains(created.Stdout, `"name": "data"`) {
		t.Errorf("--create: exit code %d\n%s%s", created.Code, created.Stdout, created.Stderr)
	}
	data := filepath.Join(dir, "data.db")
	if check := query(t, data, "pragma integrity_check"); check[0]["integrity_check"] != "ok" {
		t.Errorf("the created file: %v", check)
	}
	if info, err := os.Stat(data); err != nil || info.Size() != 4096 {
		t.Errorf("the created file: %v, %v", info, err)
	}
	missing := "Error: Invalid value for '[FILES]...': Path 'nosuch.db' does not exist."
	for _, r := range []refusal{
		{[]string{"serve", "nosuch.db"}, 1, missing},
		{[]string{"nosuch.db"}, 1, missing},
		{[]string{"one", "two"}, 1, "Error: Cannot pass multiple directories. Pass a single directory as config_dir."},
		{[]string{"data.db", "./data.db"}, 1, "Error: Duplicate database file: 'data.db' and './data.db' both refer to " + data},
	} {
		r.check(t, dir)
	}
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("not a database ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"text.db"}, {"--create", "nosuch/x.db"}, {"--internal", "nosuch/x.db"}} {
		got := harness.Run(t, dir, append(args, "--get", "/")...)
		if got.Code != 1 || !strings.HasPrefix(got.Stderr, "Error: ") {
			t.Errorf("%q: exit code %d\n%s", args, got.Code, got.Stderr)
		}
	}
}

func Test02UsageErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"broken.yml": "a: [", "list.yml": "[1, 2]", "text.yml": "hello"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []refusal{
		{[]string{"-c", "nosuch.yml"}, 2, "Error: Invalid value for '-c' / '--config': 'nosuch.yml': No such file or directory"},
		{[]string{"-p", "99999"}, 2, "Error: Invalid value for '-p' / '--port': 99999 is not in the range 0<=x<=65535."},
		{[]string{"--token", "x"}, 1, "Error: --token can only be used with --get"},
		{[]string{"--headers"}, 1, "Error: --headers can only be used with --get"},
		{[]string{"secrets", "generate-encryption-key", "extra"}, 2, "Error: Got unexpected extra argument (extra)"},
		{[]string{"secrets", "nope"}, 2, "Error: No such command 'nope'."},
		{[]string{"create-token", "root"}, 2, "Error: Missing option '--secret'."},
	} {
		r.check(t, dir)
	}
	for _, name := range []string{"broken.yml", "list.yml", "text.yml"} {
		got := harness.Run(t, dir, "-c", name)
		if got.Code != 1 || !strings.HasPrefix(got.Stderr, "Error: ") || strings.Contains(got.Stderr, "goroutine") {
			t.Errorf("-c %s: exit code %d\n%s", name, got.Code, got.Stderr)
		}
	}
}

func Test02UsageErrorsSayHowToGetHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-c", "nosuch.yml"}, {"-p", "99999"}, {"--nosuch"}, {"-s", "settings.base_url"}} {
		got := harness.Run(t, "", args...)
		if !regexp.MustCompile(`^Usage: .*\nTry '.* --help' for help\.\n\nError: .*\n$`).MatchString(got.Stderr) {
			t.Errorf("%q: standard error\n%s", args, got.Stderr)
		}
	}
}

func Test02PortInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := harness.Run(t, "", "-p", fmt.Sprint(listener.Addr().(*net.TCPAddr).Port))
	if got.Code != 1 || !strings.Contains(got.Stderr, "address already in use") {
		t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
	}
}

func Test02OtherCommands(t *testing.T) {
	t.Parallel()
	key := harness.Run(t, "", "secrets", "generate-encryption-key")
	if key.Code != 0 || !regexp.MustCompile(`^[A-Za-z0-9_-]{43}=\n$`).MatchString(key.Stdout) {
		t.Errorf("generate-encryption-key: exit code %d, %q", key.Code, key.Stdout)
	}
	token := harness.Run(t, "", "create-token", "root", "--secret", harness.Secret, "-a", "nope", "--debug")
	if token.Code != 0 || !strings.Contains(token.Stderr, "  Unknown permission: nope ") {
		t.Errorf("create-token: exit code %d\n%s", token.Code, token.Stderr)
	}
	if !regexp.MustCompile(`^dstok_\S+\n\nDecoded:\n\n\{\n  "a": "root",\n`).MatchString(token.Stdout) {
		t.Errorf("create-token printed\n%s", token.Stdout)
	}
	if help := harness.Run(t, "", "--help-settings"); help.Code != 0 || !strings.Contains(help.Stdout, "max_signed_tokens_ttl") {
		t.Errorf("--help-settings: exit code %d\n%s", help.Code, help.Stdout)
	}
	if version := harness.Run(t, "", "--version"); version.Code != 0 || !strings.Contains(version.Stdout, ", version ") {
		t.Errorf("--version: exit code %d, %q", version.Code, version.Stdout)
	}
}

func Test06RootPrintsAnAddress(t *testing.T) {
	t.Parallel()
	host := start(t, "--root", "-h", "localhost", "-s", "base_url", "/pre/")
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(host.URL) + `/pre/-/auth-token\?token=[0-9a-f]{64}\n$`)
	if got := host.Stdout.String(); !want.MatchString(got) || !strings.HasPrefix(got, "http://localhost:") {
		t.Errorf("standard output %q, want %s", got, want)
	}
	if strings.Contains(host.Stderr.String(), "token=") {
		t.Errorf("the token is in the log:\n%s", host.Stderr)
	}
	if code := host.Stop(t); code != 0 {
		t.Errorf("exit code %d after CTRL+C", code)
	}
	without := start(t)
	without.Stop(t)
	if got := without.Stdout.String(); got != "" {
		t.Errorf("without --root, standard output %q", got)
	}
}
