package interop_test

import (
	"errors"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// What Python stores is adopted at the start of the host and while it runs, and
// then is bound like everything else.
func TestRowsOfPythonAreAdopted(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	python := startPython(t, file)
	set(t, python, "ALPHA", "first", "")
	set(t, python, "ALPHA", "second", "")
	host, probe := startProbed(t, file)
	bound := func() int {
		return len(query(t, file, "select 1 from datasette_secrets join datasette_secrets_bindings on id = secret_id"))
	}
	if n := bound(); n != 2 {
		t.Errorf("%d rows are bound after the start, want 2", n)
	}
	expect(t, python, probe, "ALPHA", "second", "second")
	set(t, python, "ALPHA", "third", "")
	set(t, python, "BETA", "new", "")
	expect(t, python, probe, "ALPHA", "third", "third")
	expectValue(t, probe, "BETA", "new")
	if n := bound(); n != 4 {
		t.Errorf("%d rows are bound, want 4", n)
	}
	host.Logs(t, "adopt")

	// Python changes notes, and its reading is recorded: neither is bound.
	set(t, python, "BETA", "", "a note")
	expectValue(t, probe, "BETA", "new")

	// Two values change places.
	execute(t, file, `create temp table t as select name, encrypted from datasette_secrets where name = 'BETA' or version = 3;
		update datasette_secrets set encrypted = (select t.encrypted from t where t.name <> datasette_secrets.name)
		where name = 'BETA' or version = 3`)
	for _, name := range []string{"ALPHA", "BETA"} {
		if got, err := probe.Get(t, name, "reader"); !errors.Is(err, pluginapi.ErrIntegrity) {
			t.Errorf("after the swap the host reads %q, %v of %s", got, err, name)
		}
	}
	shows(t, host, "/-/secrets/BETA", "cannot be trusted", "Damaged")
	host.Logs(t, "cannot be trusted")
	host.Logs(t, `"secret":"BETA","version":1`)
	set(t, host, "ALPHA", "anew", "")
	expect(t, python, probe, "ALPHA", "anew", "anew")
}

// A host that requires bindings refuses what Python stores, and nothing else.
func TestRowsOfPythonAreRefused(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	host, probe := startProbed(t, file, "-s", "plugins.datasette-secrets.bindings", "require")
	set(t, host, "ALPHA", "of the host", "")
	python := startPython(t, file)
	set(t, python, "ALPHA", "of Python", "")
	set(t, python, "BETA", "of Python", "")
	for _, name := range []string{"ALPHA", "BETA"} {
		if got, err := probe.Get(t, name, "reader"); !errors.Is(err, pluginapi.ErrIntegrity) {
			t.Errorf("the host reads %q, %v of %s", got, err, name)
		}
	}
	shows(t, host, "/-/secrets/BETA", "bindings: require")
	set(t, host, "ALPHA", "of the host", "again")
	expect(t, python, probe, "ALPHA", "of the host", "of the host")
}
