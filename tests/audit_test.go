package tests

import (
	"database/sql"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // what somebody edits the log with
	"golang.org/x/mod/sumdb/tlog"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// auditHost starts a host with a file, and stores a secret twice.
func auditHost(t *testing.T) (host *harness.Process, dir string) {
	t.Helper()
	dir = t.TempDir()
	host = harness.Start(t, harness.Options{Dir: dir, Args: []string{
		"--internal", "internal.db", "-s", "permissions.manage-secrets.id", "root", "-s", "plugins.datasette-secrets.allow-undeclared", "true",
	}})
	for _, value := range []string{"hunter2-first", "hunter2-second"} {
		if r := host.SetSecret(t, "API_KEY", value, "a note", secrets.NewActor("root")); r.StatusCode != 302 {
			t.Fatalf("%d %s", r.StatusCode, r.Text)
		}
	}
	return host, dir
}

func audited(t *testing.T, dir string, args ...string) harness.Result {
	t.Helper()
	return harness.Run(t, dir, append(append([]string{"audit"}, args...), "--internal", "internal.db")...)
}

// sqlOn runs a statement on the database of a folder, as somebody else would.
func sqlOn(t *testing.T, dir, statement string, args ...any) {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+url.PathEscape(filepath.Join(dir, "internal.db"))+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// The commands read beside a running host, follow what it does, and what they
// print holds no value. Whoever may not see the log of the host sees none of it.
func TestAuditBesideTheHost(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	var rows []map[string]any
	for line := range strings.Lines(audited(t, dir, "tail", "--json", "--name", "API_KEY").Stdout) {
		row := map[string]any{}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if len(rows) != 2 || rows[1]["action"] != "put" || rows[1]["version"] != 2.0 || rows[1]["actor_id"] != "root" || rows[1]["allowed"] != 1.0 {
		t.Errorf("the log is %v", rows)
	}
	output, end := harness.Follow(t, dir, "audit", "tail", "-f", "-n", "0", "--refused", "--internal", "internal.db")
	await := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(output.String(), text); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q does not come: %s", text, output.String())
			}
			// The command may have begun later than the last of these.
			host.SetSecret(t, "API_KEY", "x", "", secrets.NewActor("mallory"))
		}
	}
	await("API_KEY by mallory (signed-in) refused: ")
	if code := end(); code != 0 {
		t.Errorf("exit code %d: %s", code, output.String())
	}
	for _, args := range [][]string{{"tail"}, {"export"}, {"export", "--format", "csv"}, {"stats"}, {"show", "2"}, {"verify"}} {
		r := audited(t, dir, args...)
		if r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "hunter2") || r.Stdout == "" {
			t.Errorf("audit %v: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	if r := host.Get(t, "/-/secrets/log", secrets.NewActor("mallory")); r.StatusCode != 403 || strings.Contains(r.Text, "API_KEY") {
		t.Errorf("mallory sees %d %s", r.StatusCode, r.Text)
	}
}

// Every way to edit the log is found by the command, which names the first bad
// entry, and by the page of the host that has it open.
func TestAuditFindsEditing(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	host.Stop(t)
	original, err := os.ReadFile(filepath.Join(dir, "internal.db"))
	if err != nil {
		t.Fatal(err)
	}
	if r := audited(t, dir, "verify"); r.Code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for what, edit := range map[string]struct{ statement, says string }{
		"an actor":        {"update datasette_secrets_log set actor_id = 'alice' where id = 2", "entry 2: "},
		"an outcome":      {"update datasette_secrets_log set allowed = 0 where id = 2", "entry 2: "},
		"a deleted entry": {"delete from datasette_secrets_log where id = 2", "entry 2: "},
		"a hidden entry":  {"update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null, actor_id = null, actor_proof = null, allowed = null, reason = null, request_id = null, remote = null, salt = null where id = 2", "entry 2"},
		"the end":         {"delete from datasette_secrets_log where id > 2", "entry 3: "},
		"an added entry":  {"insert into datasette_secrets_log (time, action, allowed, salt, leaf) values ('2026-01-01 00:00:00.000', 'get', 1, zeroblob(16), zeroblob(32))", "entry "},
		"all of it":       {"delete from datasette_secrets_log", "entry 1: "},
		"a hash":          {"update datasette_secrets_log_hashes set hash = zeroblob(32) where id = 0", "entry 1: "},
		"a head":          {"update datasette_secrets_log_heads set signed = replace(signed, 'time 2', 'time 1')", "head 1"},
		"a version":       {"delete from datasette_secrets where version = 2", "version 2 of API_KEY"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "internal.db"), original, 0o600); err != nil {
			t.Fatal(err)
		}
		sqlOn(t, dir, edit.statement)
		r := audited(t, dir, "verify")
		if r.Code != 8 || !strings.Contains(r.Stdout, "wrong  ") || !strings.Contains(r.Stdout, edit.says) || !strings.Contains(r.Stderr, edit.says) {
			t.Errorf("%s: exit code %d\n%s%s", what, r.Code, r.Stdout, r.Stderr)
		}
		var answer struct {
			OK       bool
			Problems []struct {
				Entry *int64
				What  string
			}
		}
		if err := json.Unmarshal([]byte(audited(t, dir, "verify", "--json").Stdout), &answer); err != nil || answer.OK || len(answer.Problems) == 0 {
			t.Errorf("%s: %+v, %v", what, answer, err)
		}
	}
}

// Whatever somebody put into the log, the commands do nothing to the terminal,
// and no line of an entry passes for another one.
func TestAuditIsSafeAtATerminal(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	host.Stop(t)
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp\r\n     9  2026-01-01 00:00:00.000  get SECRET by root\x00\xff\u2028x"
	sqlOn(t, dir, `insert into datasette_secrets_log (id, time, action, name, actor_id, actor_proof, plugin, client, source, allowed, reason, request_id, remote, salt, leaf)
		values (1000, ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, 1, ?1, ?1, ?1, ?1, ?1)`, evil)
	for _, args := range [][]string{{"tail"}, {"show", "1000"}, {"stats"}, {"verify"}, {"tail", "--json"}, {"export"}} {
		r := audited(t, dir, args...)
		if strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\x07\x00\r\u009b") {
			t.Errorf("audit %v writes control characters: %q", args, r.Stdout+r.Stderr)
		}
		if args[len(args)-1] != "--json" && args[0] != "export" && strings.ContainsAny(r.Stdout, "\u202e\u2028") {
			t.Errorf("audit %v turns the line around: %q", args, r.Stdout)
		}
		for line := range strings.Lines(r.Stdout) {
			if strings.HasPrefix(line, "     9  2026") {
				t.Errorf("audit %v prints a forged line: %q", args, line)
			}
		}
	}
	screen := harness.AtTerminal(t, dir, harness.Env("TERM=xterm"), "audit", "tail", "--internal", "internal.db")
	if code := screen.Wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	shown := screen.Shown()
	if strings.ContainsAny(shown, "\x07\x00\u009b\u202e") || strings.Contains(shown, "\x1b]") || strings.Contains(shown, "\x1b[2J") {
		t.Errorf("the terminal got %q", shown)
	}
	if !strings.Contains(shown, "\x1b[2m") {
		t.Errorf("a terminal gets no colours: %q", shown)
	}
	sqlOn(t, dir, `update datasette_secrets_log set actor_id = '=1+1', reason = '@SUM(A1)', plugin = '-1', remote = '+1' where id = 1000`)
	cells, err := csv.NewReader(strings.NewReader(audited(t, dir, "export", "--format", "csv", "--actor-id", "=1+1").Stdout)).ReadAll()
	if err != nil || len(cells) != 2 {
		t.Fatalf("%v, %v", cells, err)
	}
	for _, cell := range cells[1] {
		if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
			t.Errorf("a spreadsheet computes %q", cell)
		}
	}
}

// A database on a medium that cannot be written is read and verified, by
// somebody who may only read it, and nothing is written beside it.
func TestAuditOnAReadOnlyMedium(t *testing.T) {
	t.Parallel()
	host, made := auditHost(t)
	host.Stop(t)
	dir, err := os.MkdirTemp("", "readonly") // not t.TempDir: others must get in
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	copyFile(t, filepath.Join(made, "internal.db"), filepath.Join(dir, "internal.db"))
	binary := filepath.Join(dir, "datasette-secrets")
	copyFile(t, harness.Binary(t), binary)
	for path, mode := range map[string]os.FileMode{filepath.Join(dir, "internal.db"): 0o444, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"tail", "verify", "head", "prove 1", "export", "stats"} {
		line := fmt.Sprintf("%s audit %s --internal %s", binary, command, filepath.Join(dir, "internal.db"))
		if r := harness.RunCommand(t, "/", harness.Env("HOME=/"), "/bin/sh", "-c", asNobody(line)); r.Code != 0 {
			t.Errorf("audit %s: exit code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
	if found, err := filepath.Glob(filepath.Join(dir, "internal.db-*")); err != nil || len(found) > 0 {
		t.Errorf("there are %v, %v", found, err)
	}
}

// asNobody runs a command without the rights of root, who may write everything.
func asNobody(command string) string {
	if syscall.Geteuid() != 0 {
		return command
	}
	return "exec setpriv --reuid 65534 --regid 65534 --clear-groups " + command
}

// A proof and an entry, as the commands print them, are checked without the
// database, and prove no other entry.
func TestAuditProof(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	host.Stop(t)
	key := strings.TrimSpace(audited(t, dir, "keys").Stdout)
	leaf := func(id string) (hash tlog.Hash) {
		var entry struct{ Leaf string }
		if err := json.Unmarshal([]byte(audited(t, dir, "show", id, "--json").Stdout), &entry); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(entry.Leaf)
		if err != nil || copy(hash[:], raw) != len(hash) {
			t.Fatalf("the leaf is %q, %v", entry.Leaf, err)
		}
		return hash
	}
	proof := audited(t, dir, "prove", "2").Stdout
	id, head, err := audit.CheckProof(proof, leaf("2"), key)
	if err != nil || id != 2 || head.Size < 3 {
		t.Errorf("entry %d of %d, %v", id, head.Size, err)
	}
	if _, _, err := audit.CheckProof(proof, leaf("3"), key); err == nil {
		t.Error("the proof of an entry proves another one")
	}
}

// A database that is put back to an older state is well in itself. A head that
// was kept elsewhere tells, and so does the file that the host keeps heads in.
func TestAuditFindsAnOlderDatabase(t *testing.T) {
	t.Parallel()
	host, dir := auditHost(t)
	host.Stop(t)
	file := filepath.Join(dir, "internal.db")
	older, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again := harness.Start(t, harness.Options{Dir: dir, Args: []string{"--internal", "internal.db", "-s", "permissions.manage-secrets.id", "root"}})
	again.SetSecret(t, "API_KEY", "newer", "", secrets.NewActor("root"))
	again.Stop(t)
	harness.WriteFile(t, filepath.Join(dir, "kept"), audited(t, dir, "head").Stdout, 0o600)
	if r := audited(t, dir, "verify", "--head", "kept"); r.Code != 0 {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := audited(t, dir, "verify"); r.Code != 0 {
		t.Errorf("without a head: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := audited(t, dir, "verify", "--head", "kept"); r.Code != 8 || !strings.Contains(r.Stdout, "it is missing: kept head 1 is of ") {
		t.Errorf("with a head: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// Calls of a plugin at once share requests and transactions, and each of them is
// an entry of the log: none is missing, and none is there twice.
func TestUsesAtOnceAreEachRecorded(t *testing.T) {
	t.Parallel()
	const callers, calls = 64, 1280
	for _, mode := range []string{"durable", "relaxed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir, probe := t.TempDir(), harness.NewProbe(t, "KEY")
			host := harness.Start(t, harness.Options{Dir: dir, Args: append([]string{
				"--internal", "internal.db", "-s", "permissions.manage-secrets.id", "root", "-s", "plugins.datasette-secrets.audit", mode,
			}, probe.Args...)})
			if r := host.SetSecret(t, "KEY", "hunter2", "", secrets.NewActor("root")); r.StatusCode != 302 {
				t.Fatalf("%d %s", r.StatusCode, r.Text)
			}
			if done := probe.Pace(t, "get", "KEY", callers, calls); done.Calls != calls {
				t.Fatalf("%d calls were answered", done.Calls)
			}
			found := audited(t, dir, "export", "--name", "KEY", "--action", "get", "--plugin", "probe", "--allowed")
			if n := strings.Count(found.Stdout, "\n"); found.Code != 0 || n != 1+calls { // the probe calls once by itself first
				t.Errorf("%d entries, want %d (%d, %s)", n, 1+calls, found.Code, found.Stderr)
			}
			if r := audited(t, dir, "verify"); r.Code != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}
