package dropin_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// old is Datasette with PyPI's datasette-secrets, and secrets in its file.
func old(t *testing.T, file string, values map[string]string) *harness.Process {
	t.Helper()
	datasette := harness.StartDatasette(t, harness.Options{Args: []string{"--internal", file, "--root"}})
	for name, value := range values {
		if r := datasette.SetSecret(t, name, value, "note of "+name, root()); r.StatusCode != http.StatusFound {
			t.Fatalf("setting %s: %s", name, r.Status)
		}
	}
	return datasette
}

// importing runs the command and expects an exit code and texts.
func importing(t *testing.T, code int, args []string, texts ...string) {
	t.Helper()
	r := harness.RunCommand(t, "", harness.Env("OLD_KEY="+harness.Key), harness.Binary(t), append([]string{"import", "datasette-secrets"}, args...)...)
	if r.Code != code {
		t.Errorf("import %v: exit code %d, want %d\n%s", args, r.Code, code, r.Stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.Stderr, text) {
			t.Errorf("import %v does not say %q:\n%s", args, text, r.Stderr)
		}
	}
	if strings.Contains(r.Stdout+r.Stderr, "hunter2") || strings.Contains(r.Stdout+r.Stderr, harness.Key) {
		t.Errorf("import %v shows a value or key:\n%s%s", args, r.Stdout, r.Stderr)
	}
}

// Secrets are copied from the file of a Datasette that runs, under the key of
// the host that runs too.
func TestImportCopies(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "old.db")
	python := old(t, file, map[string]string{"ALPHA": "hunter2 of old", "BETA": "b", "odd%20name": "o"})
	before := readFile(t, file)

	w := newWorld(t, "ALPHA", "BETA")
	w.Stop(t)
	key := strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)
	own := []string{"-s", "plugins.datasette-secrets.encryption-key", key}
	w.again(t, own...)
	copied := append([]string{file, "--key-env", "OLD_KEY", "--internal", w.file}, own...)

	importing(t, 0, append(copied, "--dry-run"), `would be added: "ALPHA", "BETA", "odd%20name"`, "3 secrets would be stored")
	if log := strings.Join(w.log(t), "\n"); strings.Contains(log, "put ") {
		t.Errorf("a dry run changed something:\n%s", log)
	}
	importing(t, 0, copied, `added: "ALPHA", "BETA", "odd%20name"`, "3 secrets stored")
	importing(t, 0, copied, "0 secrets stored, 3 the same already")
	reader := w.datasette(t, w.socket)
	want(t, "imported", read(t, reader, "ALPHA"), "=hunter2 of old")
	shows(t, w.Process, "/-/secrets", "note of BETA", "odd%20name")

	// What differs is a conflict, and then nothing is stored.
	w.set(t, "BETA", "newer here")
	python.SetSecret(t, "ALPHA", "hunter2 of later", "", root())
	importing(t, 2, copied, "another value here", "ALPHA", "BETA", "--replace")
	want(t, "after a conflict", read(t, reader, "ALPHA"), "=hunter2 of old")
	importing(t, 0, append(copied, "--replace"), `replaced: "ALPHA", "BETA"`, "1 the same already")
	want(t, "replaced", read(t, reader, "ALPHA"), "=hunter2 of later")
	want(t, "replaced", read(t, reader, "BETA"), "=b")

	// The wrong key does nothing, and the old file is as it was.
	importing(t, 8, append([]string{file, "--key-file", keyFile(t, key), "--internal", w.file}, own...), "nothing was done", `"ALPHA"`)
	python.Stop(t)
	if after := readFile(t, file); len(after) < len(before) || strings.Contains(after, "datasette_secrets_bindings") {
		t.Error("the file of Datasette was changed")
	}
	for _, entry := range w.log(t) {
		if strings.HasPrefix(entry, "put ALPHA") && !strings.HasSuffix(entry, "true") {
			t.Errorf("the log has %q", entry)
		}
	}
}

// In place, the file of Datasette becomes the host's, and both can use it.
func TestImportAdopts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "old.db")
	python := old(t, file, map[string]string{"ALPHA": "hunter2", "BETA": "b"})
	python.SetSecret(t, "BETA", "b2", "", root())
	adopt := []string{file, "--key-file", keyFile(t, harness.Key), "--in-place"}
	importing(t, 0, append(adopt, "--dry-run"), "can be adopted", "2 secrets")
	importing(t, 8, []string{file, "--key-file", keyFile(t, strings.TrimSpace(harness.Run(t, "", "generate-encryption-key").Stdout)), "--in-place"}, "nothing was done")
	if strings.Contains(readFile(t, file), "datasette_secrets_bindings") {
		t.Error("a dry run or a wrong key changed the file")
	}
	importing(t, 0, adopt, "Adopted 3 versions of 2 secrets", "--internal "+file)
	importing(t, 0, adopt, "Adopted 0 versions of 2 secrets")
	host := harness.Start(t, harness.Options{Args: []string{"--internal", file, "--root"}})
	shows(t, host, "/-/secrets", "ALPHA", "BETA", "note of ALPHA")
	shows(t, python, "/-/secrets", "ALPHA", "BETA", "note of ALPHA")
	if r := python.SetSecret(t, "ALPHA", "of Datasette", "", root()); r.StatusCode != http.StatusFound {
		t.Errorf("Datasette cannot use the file any more: %s", r.Status)
	}
	shows(t, host, "/-/secrets/ALPHA", "Update secret")
}

func keyFile(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
