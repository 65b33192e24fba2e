package interop_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// expect reports an error unless both programs read a value of a secret. As in
// Python, nil is a secret that is not set.
func expect(t *testing.T, python *harness.Process, probe *harness.Probe, name string, ofPython any, ofHost string) {
	t.Helper()
	if got := readPython(t, python, name, "reader"); got != ofPython {
		t.Errorf("Python reads %#v of %s, want %#v", got, name, ofPython)
	}
	got, err := probe.Get(t, name, "reader")
	if ofHost == "" {
		if !errors.Is(err, pluginapi.ErrNotSet) {
			t.Errorf("the host reads %q, %v of %s, want ErrNotSet", got, err, name)
		}
	} else if err != nil || got != ofHost {
		t.Errorf("the host reads %q, %v of %s, want %q", got, err, name, ofHost)
	}
}

// post sends a form to a page of the host as root and expects to be sent on.
func post(t *testing.T, p *harness.Process, path string, form url.Values) {
	t.Helper()
	answer := p.Do(t, harness.Request{Method: http.MethodPost, Path: path, Actor: root(), Form: form})
	if answer.StatusCode != http.StatusFound {
		t.Fatalf("POST %s: %s\n%s", path, answer.Status, answer.Text)
	}
}

// While both programs run on one file, each reads at once what the other
// stored, annotated, deleted or restored, whoever made the file.
func TestTakingTurns(t *testing.T) {
	t.Parallel()
	for _, maker := range []string{"host", "Python"} {
		t.Run("file of "+maker, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			var host, python *harness.Process
			var probe *harness.Probe
			if maker == "host" {
				host, probe = startProbed(t, file)
				python = startPython(t, file)
			} else {
				python = startPython(t, file)
				host, probe = startProbed(t, file)
			}
			takeTurns(t, host, python, probe)
		})
	}
}

func takeTurns(t *testing.T, host, python *harness.Process, probe *harness.Probe) {
	expect(t, python, probe, "ALPHA", nil, "")

	odd := "pässwörd ☃\r\n -line2 \\ \"'<&"
	set(t, host, "ALPHA", odd, "by the host <ö>")
	expect(t, python, probe, "ALPHA", odd, odd)
	shows(t, python, "/-/secrets/ALPHA", "Update secret: ALPHA", `value="by the host &lt;ö&gt;"`)

	set(t, python, "ALPHA", "two", "by Python & co")
	expect(t, python, probe, "ALPHA", "two", "two")
	shows(t, host, "/-/secrets/ALPHA", "Update secret: ALPHA", `value="by Python &amp; co"`, "version 2")

	set(t, host, "ALPHA", "", "note of the host") // no value: the note of version 2
	shows(t, python, "/-/secrets", "note of the host")
	set(t, python, "ALPHA", "", "note of Python")
	shows(t, host, "/-/secrets", "note of Python")
	expect(t, python, probe, "ALPHA", "two", "two")

	post(t, host, "/-/secrets/ALPHA/-/delete", url.Values{})
	expect(t, python, probe, "ALPHA", "", "")
	shows(t, host, "/-/secrets/ALPHA", "Add secret: ALPHA", "Deleted")

	post(t, host, "/-/secrets/ALPHA/-/restore", url.Values{"version": {"1"}})
	expect(t, python, probe, "ALPHA", odd, odd)
	shows(t, python, "/-/secrets/ALPHA", `value="by the host &lt;ö&gt;"`)

	post(t, host, "/-/secrets/ALPHA/-/delete", url.Values{})
	set(t, python, "ALPHA", "after the end", "") // Python knows no tombstones
	expect(t, python, probe, "ALPHA", "after the end", "after the end")
	shows(t, host, "/-/secrets/ALPHA", "version 6")

	if secrets := probe.List(t); len(secrets) != len(names()) || !secrets[0].Set || secrets[1].Set {
		t.Errorf("the host lists %+v", secrets)
	}
}

// What one program stored is there after it has ended, for the other.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"host", "Python"} {
		t.Run("first "+first, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			want := ""
			for turn, value := range []string{"one", "two", "three"} {
				if (turn%2 == 0) == (first == "host") {
					host, probe := startProbed(t, file)
					if got, _ := probe.Get(t, "BETA", "reader"); got != want {
						t.Errorf("turn %d: the host reads %q, want %q", turn, got, want)
					}
					set(t, host, "BETA", value, "")
					host.Stop(t)
				} else {
					python := startPython(t, file)
					if got, _ := readPython(t, python, "BETA", "reader").(string); got != want {
						t.Errorf("turn %d: Python reads %q, want %q", turn, got, want)
					}
					set(t, python, "BETA", value, "")
					python.Stop(t)
				}
				want = value
			}
		})
	}
}

// A row written by the host has the columns of one written by Python: the same
// types, the same form of time, and null in the same places.
func TestRowsLookAlike(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	python := startPython(t, file)
	host, probe := startProbed(t, file)

	compare := func(when string) {
		t.Helper()
		rows := query(t, file, "select * from datasette_secrets where name in ('OF_HOST', 'OF_PYTHON') order by name")
		types := query(t, file, typesQuery)
		if len(rows) != 2 || len(types) != 2 {
			t.Fatalf("%s: %d rows", when, len(rows))
		}
		for column, want := range rows[1] {
			got := rows[0][column]
			if types[0][column] != types[1][column] {
				t.Errorf("%s: %s is %v, in a row of Python %v", when, column, types[0][column], types[1][column])
			}
			if form(got) != form(want) && column != "id" && column != "name" {
				t.Errorf("%s: %s is %v, in a row of Python %v", when, column, got, want)
			}
		}
		if types[0]["encrypted"] != "blob" {
			t.Errorf("%s: encrypted is %v", when, types[0]["encrypted"])
		}
	}
	both := func(value, note string) {
		t.Helper()
		set(t, host, "OF_HOST", value, note)
		set(t, python, "OF_PYTHON", value, note)
	}
	read := func(actor string) {
		t.Helper()
		if got, err := probe.Get(t, "OF_HOST", actor); got != "same value" || err != nil {
			t.Errorf("the host reads %q, %v", got, err)
		}
		if got := readPython(t, python, "OF_PYTHON", actor); got != "same value" {
			t.Errorf("Python reads %q", got)
		}
	}
	both("same value", "")
	compare("stored without a note")
	both("", "a note")
	compare("with a note")
	read("reader")
	compare("used by an actor")
	read("")
	compare("used by nobody")
	both("", "")
	compare("with the note cleared")
}

const typesQuery = `select typeof(id) id, typeof(name) name, typeof(note) note, typeof(version) version,
	typeof(encrypted) encrypted, typeof(encryption_key_name) encryption_key_name,
	typeof(created_at) created_at, typeof(created_by) created_by,
	typeof(updated_at) updated_at, typeof(updated_by) updated_by,
	typeof(deleted_at) deleted_at, typeof(deleted_by) deleted_by,
	typeof(last_used_at) last_used_at, typeof(last_used_by) last_used_by
	from datasette_secrets where name in ('OF_HOST', 'OF_PYTHON') order by name`

// form is a column's value, with what differs from row to row made alike.
func form(value any) any {
	text, ok := value.(string)
	if !ok {
		return value
	}
	text = timestamp.ReplaceAllString(text, "TIME")
	return encrypted.ReplaceAllString(text, fmt.Sprintf("token of %d bytes", len(text)))
}

var (
	timestamp = regexp.MustCompile(`^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$`)
	encrypted = regexp.MustCompile(`^gAAAA[A-Za-z0-9_-]+={0,2}$`)
)

// Either program records by whom and when a version was used, in the row of
// that version only, and shows what the other recorded.
func TestLastUsedOfBoth(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	host, probe := startProbed(t, file)
	python := startPython(t, file)
	set(t, host, "ALPHA", "one", "")
	readPython(t, python, "ALPHA", "zoë")
	set(t, python, "ALPHA", "two", "")
	if _, err := probe.Get(t, "ALPHA", "bob"); err != nil {
		t.Error(err)
	}
	rows := query(t, file, "select last_used_by, last_used_at is not null as used from datasette_secrets where name = 'ALPHA' order by version")
	if len(rows) != 2 || rows[0]["last_used_by"] != "zoë" || rows[1]["last_used_by"] != "bob" || rows[0]["used"] != 1.0 || rows[1]["used"] != 1.0 {
		t.Errorf("recorded: %v", rows)
	}
	readPython(t, python, "ALPHA", "amy")
	shows(t, host, "/-/secrets", "amy")
	shows(t, host, "/-/secrets/ALPHA", "amy", "zoë")
}
