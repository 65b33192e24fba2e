package interop_test

import (
	"reflect"
	"strings"
	"testing"
)

// schemaOf10 is the table as datasette-secrets 0.1a0 made it; 0.1a1 and later,
// up to 0.3a0, made it without "redacted".
const schemaOf10 = `
create table if not exists datasette_secrets (
    id integer primary key,
    name text not null,
    note text,
    version integer not null default 1,
    encrypted blob,
    encryption_key_name text not null,
    redacted text,
    created_at text,
    created_by text,
    updated_at text,
    updated_by text,
    deleted_at text,
    deleted_by text,
    last_used_at text,
    last_used_by text
);
`

// The value "hunter2" under the key of the tests, as a token that Python made.
const hunter2 = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD_e5LOVX57WdHSUxrwACKujH-S_j2UIkXEvZ306by0KuUqRpnGm75WObpffYpF4imA=="

// A file of any release of datasette-secrets opens here, with its rows, and
// afterwards still works in Python, with theirs and ours.
func TestFilesOfEveryRelease(t *testing.T) {
	t.Parallel()
	redacted := "insert into datasette_secrets (name, version, note, encrypted, encryption_key_name, redacted, created_at, created_by, updated_at, updated_by) values ('ALPHA', 1, 'old', cast('" + hunter2 + "' as blob), 'default', 'hu…', '2024-04-21 10:00:00', 'amy', '2024-04-21 10:00:00', 'amy');"
	plain := strings.NewReplacer("    redacted text,\n", "", " redacted,", "", " 'hu…',", "")
	for release, statements := range map[string]string{
		"0.1a0":            schemaOf10 + redacted,
		"0.3a0":            plain.Replace(schemaOf10 + redacted),
		"0.1a0 with a WAL": "pragma journal_mode = wal;" + schemaOf10 + redacted,
		"token as text":    plain.Replace(strings.NewReplacer("cast(", "", " as blob)", "").Replace(schemaOf10 + redacted)),
		// Nothing kept two rows from having the same version.
		"doubles": plain.Replace(schemaOf10 + redacted + redacted),
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			execute(t, file, statements)
			mode := journalMode(t, file)
			host, probe := startProbed(t, file)
			shows(t, host, "/-/secrets", "2024-04-21", "amy")
			if got, err := probe.Get(t, "ALPHA", "reader"); got != "hunter2" || err != nil {
				t.Errorf("the host reads %q, %v", got, err)
			}
			set(t, host, "ALPHA", "of the host", "new")
			set(t, host, "BETA", "also", "")
			host.Stop(t)
			if now := journalMode(t, file); now != mode {
				t.Errorf("the journal mode was %s and is %s", mode, now)
			}
			useInPython(t, file)
		})
	}
}

// useInPython opens a file that the host has had.
func useInPython(t *testing.T, file string) {
	t.Helper()
	python := startPython(t, file)
	for name, want := range map[string]string{"ALPHA": "of the host", "BETA": "also"} {
		if got := readPython(t, python, name, "reader"); got != want {
			t.Errorf("Python reads %q of %s, want %q", got, name, want)
		}
	}
	set(t, python, "ALPHA", "of Python", "newer")
	if got := readPython(t, python, "ALPHA", "reader"); got != "of Python" {
		t.Errorf("Python reads %q, want its own value", got)
	}
	shows(t, python, "/-/secrets", "newer")
	python.Stop(t)
	host, probe := startProbed(t, file)
	if got, err := probe.Get(t, "ALPHA", "reader"); got != "of Python" || err != nil {
		t.Errorf("the host reads %q, %v in the end", got, err)
	}
	shows(t, host, "/-/secrets/ALPHA", "version 3")
}

// The tables that Datasette keeps in the same file are left alone.
func TestTablesOfDatasetteAreLeftAlone(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	startPython(t, file).Stop(t)
	const others = "select name, sql from sqlite_master where tbl_name not like 'datasette_secrets%' order by name"
	before := query(t, file, others)
	if len(before) < 5 {
		t.Fatalf("Datasette made only %d tables", len(before))
	}
	host := startHost(t, file, undeclared()...)
	set(t, host, "ALPHA", "x", "")
	host.Stop(t)
	if after := query(t, file, others); !reflect.DeepEqual(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}
