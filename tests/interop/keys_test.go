package interop_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const keySetting = "plugins.datasette-secrets.encryption-key"

func newKey(t *testing.T) string {
	t.Helper()
	key, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hostWithKeys(t *testing.T, file string, keys ...any) (*harness.Process, *harness.Probe) {
	t.Helper()
	list, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	probe := harness.NewProbe(t, names()...)
	args := append([]string{"--internal", file, "--root", "-s", keySetting, string(list)}, probe.Args...)
	return harness.Start(t, harness.Options{NoKey: true, Args: args}), probe
}

func pythonWithKey(t *testing.T, file, key string) *harness.Process {
	t.Helper()
	args := []string{"--internal", file, "--root", "--plugins-dir", pythonPlugins(t), "-s", keySetting, key}
	return harness.StartDatasette(t, harness.Options{NoKey: true, Args: args})
}

// The last key of a list is the "default" one, the only one there is to
// Python: what Python stored under it stays readable here when a new key is put
// in front, and Python with the new key alone reads what the host stores then.
func TestKeysAreChangedTogether(t *testing.T) {
	t.Parallel()
	file, old, fresh := newFile(t), newKey(t), newKey(t)
	python := pythonWithKey(t, file, old)
	set(t, python, "OF_PYTHON", "under the old key", "")
	set(t, python, "SHARED", "under the old key", "")
	python.Stop(t)

	host, probe := hostWithKeys(t, file, fresh, old)
	expectValue(t, probe, "OF_PYTHON", "under the old key")
	set(t, host, "SHARED", "under the new key", "")
	set(t, host, "OF_HOST", "under the new key", "")
	rows := query(t, file, "select distinct name, version, encryption_key_name as key from datasette_secrets order by name, version")
	var found []string
	for _, row := range rows {
		found = append(found, row["name"].(string)+" "+row["key"].(string))
	}
	if got, want := strings.Join(found, ", "), "OF_HOST k2, OF_PYTHON default, SHARED default, SHARED k2"; got != want {
		t.Errorf("the rows name their keys: %s, want %s", got, want)
	}
	host.Stop(t)

	python = pythonWithKey(t, file, old)
	if got := readPython(t, python, "OF_PYTHON", ""); got != "under the old key" {
		t.Errorf("Python with the old key reads %v", got)
	}
	if got := readError(t, python, "OF_HOST"); !strings.HasPrefix(got, "InvalidToken") {
		t.Errorf("Python with the old key reads what needs the new one: %q", got)
	}
	python.Stop(t)

	python = pythonWithKey(t, file, fresh)
	for _, name := range []string{"OF_HOST", "SHARED"} {
		if got := readPython(t, python, name, ""); got != "under the new key" {
			t.Errorf("Python with the new key reads %v of %s", got, name)
		}
	}
	set(t, python, "OF_PYTHON", "again", "") // under the new key, but named "default"
	python.Stop(t)

	host, probe = hostWithKeys(t, file, fresh, old)
	expectValue(t, probe, "OF_PYTHON", "again")
	expectValue(t, probe, "SHARED", "under the new key")
	host.Stop(t)
	_, probe = hostWithKeys(t, file, fresh)
	expectValue(t, probe, "OF_HOST", "under the new key") // though it is called "default" now
}

func expectValue(t *testing.T, probe *harness.Probe, name, want string) {
	t.Helper()
	if got, err := probe.Get(t, name, "reader"); got != want || err != nil {
		t.Errorf("the host reads %q, %v of %s, want %q", got, err, name, want)
	}
}

// A host with one key, whatever the form, stores what Python with that key
// reads, under the name that Python gives it.
func TestOneKeyIsPythonsKey(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	file := newFile(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "key"), " "+key+"\r\n")
	forms := map[string]any{
		"ALPHA":   key,
		"BETA":    map[string]any{"key": key},
		"SHARED":  map[string]any{"$file": filepath.Join(folder, "key")},
		"OF_HOST": map[string]any{"name": "mine", "key": key},
	}
	for name, form := range forms {
		host, _ := hostWithKeys(t, file, form)
		set(t, host, name, "value of "+name, "")
		host.Stop(t)
	}
	python := pythonWithKey(t, file, key)
	for name := range forms {
		if got := readPython(t, python, name, ""); got != "value of "+name {
			t.Errorf("Python reads %v of %s", got, name)
		}
	}
	for _, row := range query(t, file, "select name, encryption_key_name as key from datasette_secrets") {
		if (row["key"] == "default") != (row["name"] != "OF_HOST") {
			t.Errorf("the row of %s names the key %s", row["name"], row["key"])
		}
	}
}

// A wrong key is an error in both programs: neither takes a secret that it
// cannot read for one that is not set, nor harms it.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	file, right, wrong := newFile(t), newKey(t), newKey(t)
	python := pythonWithKey(t, file, right)
	set(t, python, "ALPHA", "value", "")
	python.Stop(t)
	host, probe := hostWithKeys(t, file, wrong)
	if got, err := probe.Get(t, "ALPHA", "reader"); !errors.Is(err, pluginapi.ErrIntegrity) {
		t.Errorf("the host reads %q, %v with the wrong key, want ErrIntegrity", got, err)
	}
	shows(t, host, "/-/secrets", "ALPHA")
	set(t, host, "ALPHA", "", "a note needs no key")
	host.Stop(t)
	python = pythonWithKey(t, file, right)
	if got := readPython(t, python, "ALPHA", ""); got != "value" {
		t.Errorf("Python with the right key reads %v afterwards", got)
	}
}
