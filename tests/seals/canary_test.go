package seals

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// said is what a program wrote somewhere.
type said struct{ where, text string }

// A host is sealed, unsealed by every means, rotated, backed up and killed. What
// opens its seals, the keys that were sealed and the value are in no file and in
// no answer but those that were made to hold them: not in the database or what
// SQLite keeps beside it, not in temporary files, logs or pages, not in
// arguments or environments.
func TestNothingSealedIsLeftAnywhere(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	given := []string{"paper", "machine", "other", "configured", "wrong", "old.key", "out.key", "pin"}
	store(t, filepath.Join(dir, "i.db"))
	soft := harness.NewSoftHSM(t, "prod")
	uri := soft.URI(harness.SoftHSMModule, "prod", "datasette-secrets")
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := append([]string{"TMPDIR=" + filepath.Join(dir, "tmp")}, soft.Env...)
	const mistaken = "incorrect horse battery staple"
	write(t, filepath.Join(dir, "wrong"), mistaken+"\n")

	var seen []said
	command := func(code int, words ...string) {
		t.Helper()
		args := append([]string{}, words...)
		if words[0] != "hsm" {
			args = append(args, "--internal", "i.db")
		}
		cmd := exec.Command(harness.Binary(t), args...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, harness.Env(env...), strings.NewReader("EXPORT\n")
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code {
			t.Fatalf("%v: exit code %d\n%s", words, cmd.ProcessState.ExitCode(), out)
		}
		seen = append(seen, said{strings.Join(words[:2], " "), string(out)})
	}
	with := []string{"--with-passphrase-file", "paper"}
	also := func(words ...string) []string { return append(words, with...) }
	command(0, "seal", "adopt", "--passphrase-file", "paper", "--name", "paper", "--work-factor", "10", "-s", "plugins.datasette-secrets.encryption-key.$file", "configured")
	command(0, "hsm", "init", "--uri", uri)
	command(0, also("seal", "add", "--key-file", "machine", "--name", "machine")...)
	command(0, also("seal", "add", "--uri", uri, "--name", "token")...)
	command(0, also("seal", "export-key", "--out", "old.key")...)

	probe := harness.NewProbe(t, "API_KEY")
	host := harness.Start(t, harness.Options{NoKey: true, Dir: dir, Env: env,
		Args: append(probe.Args, "--internal", "i.db", "-s", "permissions.manage-secrets.id", "root")})
	page := func(path string, form url.Values) {
		t.Helper()
		r := host.Do(t, harness.Request{Path: path, Actor: secrets.NewActor("root"), Form: form})
		var headers strings.Builder
		_ = r.Header.Write(&headers)
		seen = append(seen, said{path, headers.String() + r.Text})
	}
	page("/-/unseal", url.Values{"passphrase": {mistaken}})
	command(3, "unseal", "--passphrase-file", "wrong")
	command(3, "unseal", "--key-file", "other")
	page("/-/unseal", url.Values{"passphrase": {passphrase}})
	command(0, also("key", "rotate")...)
	command(0, also("seal", "rewrap", "machine", "--key-file", "other")...)
	command(0, also("seal", "rewrap", "--with-key-file", "other", "--with-uri", uri)...)
	// The host reads on, and is unsealed again for the new root key.
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value {
		t.Errorf("after a new root key the plugin gets %q, %v", got, err)
	}
	for deadline := time.Now().Add(time.Minute); host.Get(t, "/-/readyz", nil).StatusCode != 503; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is told to unseal again")
		}
	}
	command(0, "unseal", "--passphrase-file", "paper")
	command(0, also("seal", "verify", "--with-uri", uri)...)
	command(0, "seal", "list", "--json")
	command(0, "hsm", "doctor", "--uri", uri)
	page("/-/secrets/API_KEY", url.Values{"secret": {value + ", anew"}})
	if got, err := probe.Get(t, "API_KEY", "alice"); err != nil || got != value+", anew" {
		t.Fatalf("the plugin gets %q, %v\n%s", got, err, host.Stderr)
	}
	for _, path := range []string{"/", "/-/secrets", "/-/secrets/API_KEY", "/-/secrets/log", "/-/unseal", "/-/plugins", "/-/config.json", "/-/metrics", "/-/healthz", "/-/readyz"} {
		page(path, nil)
	}
	command(0, also("seal", "export-key", "--out", "out.key")...)

	// While it runs, of the process and beside the database; then as a crash
	// leaves it.
	process := fmt.Sprintf("/proc/%d/", host.Cmd.Process.Pid)
	for _, file := range []string{"cmdline", "environ", "comm"} {
		data, err := os.ReadFile(process + file)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, said{"its " + file, string(data)})
	}
	if limits, err := os.ReadFile(process + "limits"); err != nil || !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("a crash may leave its memory in a file: %v\n%s", err, limits)
	}
	seen = append(seen, files(t, dir, given)...)
	backup(t, filepath.Join(dir, "i.db"), filepath.Join(dir, "backup.db"))
	host.Kill()
	seen = append(seen, said{"its log", host.Stderr.String()}, said{"its output", host.Stdout.String()})
	seen = append(seen, files(t, dir, given)...)
	beside := 0
	for _, s := range seen {
		if strings.HasSuffix(s.where, "i.db-wal") || strings.HasSuffix(s.where, "i.db-shm") {
			beside++
		}
	}
	if beside != 4 {
		t.Errorf("%d files beside the database were looked at, want 4", beside)
	}

	hidden := map[string]string{
		"passphrase": passphrase, "mistaken passphrase": mistaken, "key of a seal": machineKey, "key of the next seal": otherKey,
		"configured key": harness.Key, "value": value,
	}
	for _, file := range []string{"old.key", "out.key"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range strings.Fields(string(data)) {
			hidden[fmt.Sprintf("sealed key %d of %s", i+1, file)] = key
		}
	}
	if len(hidden) != 8 {
		t.Errorf("%d texts to look for", len(hidden))
	}
	pin := regexp.MustCompile(`(^|[^0-9a-f])` + harness.TokenPIN + `([^0-9a-f]|$)`) // not as a part of any number
	for _, s := range seen {
		if pin.MatchString(s.text) {
			t.Errorf("%s holds the PIN", s.where)
		}
	}
	for what, text := range hidden {
		for form, written := range written(text) {
			for _, s := range seen {
				if strings.Contains(s.text, written) {
					t.Errorf("%s holds the %s %s", s.where, what, form)
				}
			}
		}
	}
}

// files are the files in a folder, but for those that are given. Those of a
// token are its own business.
func files(t *testing.T, dir string, given []string) (all []said) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || contains(given, entry.Name()) {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, said{"the file " + path, string(data)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// backup copies a database that is in use, as docs/backup.md says.
func backup(t *testing.T, from, to string) {
	t.Helper()
	const script = "import sqlite3, sys\nsource, copy = map(sqlite3.connect, sys.argv[1:])\nsource.backup(copy)\nprint('null')"
	var nothing any
	harness.PythonScript(t, script, &nothing, from, to)
}

// written are the forms in which a text may be found.
func written(text string) map[string]string {
	core := strings.TrimRight(text, "=")
	forms := map[string]string{"as it is": core, "in hexadecimal": hex.EncodeToString([]byte(core)), "in a URL": url.QueryEscape(core)}
	quoted, _ := json.Marshal(core)
	forms["in JSON"] = strings.Trim(string(quoted), `"`)
	for shift := range 3 { // wherever it begins in what is encoded
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("_", shift) + core))
		encoded = encoded[4*((shift+2)/3) : len(encoded)-4]
		if len(encoded) >= 8 {
			forms[fmt.Sprint("in base64, ", shift)] = encoded
			forms[fmt.Sprint("in URL base64, ", shift)] = strings.NewReplacer("+", "-", "/", "_").Replace(encoded)
		}
	}
	if raw, err := base64.URLEncoding.DecodeString(text); err == nil && len(raw) == 32 {
		forms["raw"] = string(raw)
		forms["raw half"] = string(raw[:16])
		forms["raw in hexadecimal"] = hex.EncodeToString(raw)
		forms["raw in base64"] = strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "=")
	}
	return forms
}
