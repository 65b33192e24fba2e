package vault_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// attacked is a world whose file somebody else edits: a running host with a
// log, and a connection of another process.
type attacked struct {
	*world
	log bytes.Buffer
	raw *sql.DB
}

// The secrets of an attacked world, oldest version first. The newest version of
// GONE is a tombstone, and NEVER was never set.
func stored() map[string][]string {
	return map[string][]string{
		"ALPHA": {"alpha one", "alpha two", "alpha three"},
		"BETA":  {"beta one", "beta two"},
		"GONE":  {"gone one", ""},
		"NEVER": {},
	}
}

func attack(t *testing.T, options ...option) *attacked {
	t.Helper()
	w := &attacked{}
	options = append(options, func(c *vault.Config) { c.Log = slog.New(slog.NewTextHandler(&w.log, nil)) })
	w.world = open(t, options...)
	w.declare(t)
	for _, name := range []string{"ALPHA", "BETA", "GONE"} {
		for _, text := range stored()[name] {
			if text != "" {
				put(t, w.world, name, text, "")
				continue
			}
			if err := w.Delete(ctx, root, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.raw = connect(t, w.path)
	// So that an attack can bring doubles of a version.
	w.run(t, "drop index datasette_secrets_name_version")
	for _, table := range tables() {
		w.run(t, "create table saved_"+table+" as select * from datasette_"+table)
	}
	return w
}

// declare has a plugin declare the secrets, with a hint of their values.
func (w *attacked) declare(t *testing.T) {
	t.Helper()
	var all []secrets.Declaration
	for _, name := range []string{"ALPHA", "BETA", "GONE", "NEVER"} {
		all = append(all, secrets.Declaration{Name: name, Redact: secrets.Redact{Prefix: 2}})
	}
	if err := introduce(w.world, "reader", all); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, path string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+url.PathEscape(path)+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() { raw.Close() })
	return raw
}

func tables() []string { return []string{"secrets", "secrets_bindings", "secrets_marks"} }

func (w *attacked) run(t *testing.T, statement string) {
	t.Helper()
	if _, err := w.raw.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// undo puts every row back as it was stored.
func (w *attacked) undo(t *testing.T) {
	t.Helper()
	for _, table := range tables() {
		w.run(t, "delete from datasette_"+table)
		w.run(t, "insert into datasette_"+table+" select * from saved_"+table)
	}
	w.log.Reset()
}

// check reads everything in every way. Whatever was done to the file, nobody
// gets a value that is not the one that was stored, and who is refused is told
// in the log as well. It reports whether anybody was refused.
func (w *attacked) check(t *testing.T, what string) (refused bool) {
	t.Helper()
	caller := plugin("reader", "bob")
	see := func(path, name string, want []string, found vault.Found, err error) {
		t.Helper()
		switch newest := len(want) - 1; {
		case errors.Is(err, secrets.ErrIntegrity):
			refused = true
			if !strings.Contains(w.log.String(), "cannot be trusted") {
				t.Errorf("%s: %s of %s is refused, and the log says nothing", what, path, name)
			}
		case errors.Is(err, secrets.ErrNotSet):
			if newest >= 0 && want[newest] != "" {
				t.Errorf("%s: %s of %s says that it is not set", what, path, name)
			}
		case err != nil:
			t.Errorf("%s: %s of %s: %v", what, path, name, err)
		case newest < 0 || want[newest] == "" || found.Value.Reveal() != want[newest]:
			t.Errorf("%s: %s of %s gives the wrong value %q", what, path, name, found.Value.Reveal())
		}
	}
	for name, texts := range stored() {
		found, err := w.Get(ctx, caller, name)
		see("Get", name, texts, found, err)
		results, err := w.GetMany(ctx, caller, []string{name})
		if err != nil {
			t.Errorf("%s: GetMany: %v", what, err)
			continue
		}
		see("GetMany", name, texts, results[0].Found, results[0].Err)
		hint, err := w.Hint(ctx, root, name)
		if refused = refused || errors.Is(err, secrets.ErrIntegrity); err == nil && !strings.HasPrefix(append([]string{""}, texts...)[len(texts)], strings.TrimSuffix(hint, "…")) {
			t.Errorf("%s: the hint of %s is %q", what, name, hint)
		}
		refused = w.checkHistory(t, what, name, texts) || refused
	}
	for _, name := range []string{"ALPHA ", "alpha", "OTHER", ""} { // where rows may have been moved
		refused = w.checkHistory(t, what, name, nil) || refused
	}
	return refused
}

// checkHistory looks at the page of a secret, and restores each version that
// the page offers.
func (w *attacked) checkHistory(t *testing.T, what, name string, texts []string) (refused bool) {
	t.Helper()
	secret, versions, err := w.Show(ctx, root, name)
	if errors.Is(err, secrets.ErrIntegrity) {
		return true
	}
	if errors.Is(err, secrets.ErrNotFound) {
		return false // nothing is stored under a name that nobody declared
	}
	if err != nil {
		t.Errorf("%s: Show of %s: %v", what, name, err)
	}
	refused = secret.Damage != nil
	for i := len(texts) - 1; i >= 0; i-- {
		number := int64(i + 1)
		_, err := w.Restore(ctx, root, name, number)
		switch {
		case errors.Is(err, secrets.ErrIntegrity):
			refused = true
			continue
		case err != nil: // the newest version, a tombstone, or not there
			continue
		}
		found, err := w.Get(ctx, plugin("reader", "bob"), name)
		if err == nil && found.Value.Reveal() != texts[i] {
			t.Errorf("%s: version %d of %s is restored as %q", what, number, name, found.Value.Reveal())
		}
	}
	for _, version := range versions {
		refused = refused || version.Damage != nil
	}
	return refused
}

// edit is something done to the file. told says that it must not go unnoticed.
type edit struct {
	statement string
	told      bool
}

// edits are attacks on the rows by somebody who can write the file and does not
// have the key: every column that matters, with every kind of content.
func edits() []edit {
	var all []edit
	told := func(format string, args ...any) { all = append(all, edit{fmt.Sprintf(format, args...), true}) }
	quiet := func(format string, args ...any) { all = append(all, edit{fmt.Sprintf(format, args...), false}) }
	// An older version, two newest ones, and a tombstone.
	rows := []int{2, 3, 5, 7}
	for i, id := range rows {
		next := rows[(i+1)%len(rows)]
		set := func(column, value string) {
			told("update datasette_secrets set %s = %s where id = %d", column, value, id)
		}
		for _, value := range []string{"'ALPHA '", "'alpha'", "'NEVER'", "'OTHER'", "''"} {
			set("name", value)
		}
		quiet("update datasette_secrets set name = cast(name as blob) where id = %d", id) // another name, at which nobody looks
		for _, value := range []string{"0", "-1", "version + 1", "version - 1", "version + 0.5", "99", "9223372036854775807", "'x'", "x'31'"} {
			set("version", value)
		}
		for _, value := range []string{
			"null", "''", "x''", "'x'", "7", "cast(encrypted || '=' as blob)", "cast(encrypted || char(10) as blob)",
			"cast(substr(encrypted, 1, length(encrypted) - 4) as blob)", "cast('h' || substr(encrypted, 2) as blob)",
			"cast(substr(encrypted, 1, 20) || char(10) || substr(encrypted, 21) as blob)",
		} {
			set("encrypted", value)
		}
		for _, value := range []string{"'k2'", "''", "'DEFAULT'", "x'00'"} {
			set("encryption_key_name", value)
		}
		set("deleted_at", "case when deleted_at is null then '2026-01-01 00:00:00' end")
		told("delete from datasette_secrets_bindings where secret_id = %d; update datasette_secrets set encrypted = (select encrypted from datasette_secrets where id = %d) where id = %d", id, next, id)
		told("update datasette_secrets_bindings set mac = x'' where secret_id = %d", id)
		told("update datasette_secrets_bindings set mac = (select mac from datasette_secrets_bindings where secret_id = %d) where secret_id = %d", next, id)
		for _, other := range rows {
			if other == id {
				continue
			}
			column := func(name string) {
				told("update datasette_secrets set %[1]s = (select o.%[1]s from datasette_secrets o where o.id = %[2]d) where id = %[3]d", name, other, id)
			}
			column("encrypted")
			if other > id { // a swap of all that matters is no change
				told(`create temp table swap as select * from datasette_secrets where id in (%[1]d, %[2]d);
					update datasette_secrets set encrypted = (select s.encrypted from swap s where s.id = %[1]d + %[2]d - datasette_secrets.id) where id in (%[1]d, %[2]d);
					drop table swap`, id, other)
				told(`update datasette_secrets set id = id + 100 where id in (%[1]d, %[2]d);
					update datasette_secrets set id = %[1]d + %[2]d + 100 - id where id > 100`, id, other)
			}
			// A copy under another name or in a new version, with and without the ties.
			told(`insert into datasette_secrets (id, name, version, encrypted, encryption_key_name)
				select 50, o.name, 60, s.encrypted, s.encryption_key_name from datasette_secrets s, datasette_secrets o where s.id = %d and o.id = %d;`, id, other)
			told(`insert into datasette_secrets (id, name, version, encrypted, encryption_key_name)
				select 50, o.name, 60, s.encrypted, s.encryption_key_name from datasette_secrets s, datasette_secrets o where s.id = %d and o.id = %d;
				insert into datasette_secrets_bindings select 50, mac from datasette_secrets_bindings where secret_id = %[1]d;
				update datasette_secrets_marks set version = 60 where name = (select name from datasette_secrets where id = %[2]d)`, id, other)
		}
		// What is no part of a value may be changed, and Python does so.
		quiet("update datasette_secrets set note = 'x', last_used_at = 'x', last_used_by = 7, updated_at = null, updated_by = x'00', created_at = 'x', created_by = 'x', deleted_by = 'x' where id = %d", id)
		quiet("update datasette_secrets set id = 70 where id = %d", id)
	}
	for _, name := range []string{"ALPHA", "BETA", "GONE"} {
		newest := fmt.Sprintf("(select id from datasette_secrets where name = '%s' order by version desc limit 1)", name)
		told("delete from datasette_secrets where id = %s", newest)
		told("delete from datasette_secrets_bindings where secret_id = %s", newest)
		told("delete from datasette_secrets_bindings where secret_id = %[1]s; delete from datasette_secrets where id = %[1]s; delete from datasette_secrets_marks where name = '%[2]s'", newest, name)
		told("delete from datasette_secrets where name = '%s'", name)
		told("update datasette_secrets set name = 'NEVER' where name = '%s'", name)
		told("update datasette_secrets set version = -version where name = '%s'", name)
		told("delete from datasette_secrets_marks where name = '%s'", name)
		for _, value := range []string{"0", "1", "99", "'x'", "-1"} {
			told("update datasette_secrets_marks set version = %s where name = '%s'; delete from datasette_secrets where id = %s", value, name, newest)
		}
		told("update datasette_secrets_marks set mac = (select mac from datasette_secrets_marks where name <> '%[1]s' limit 1) where name = '%[1]s'", name)
		told("insert into datasette_secrets_marks select 'NEVER', version, mac from datasette_secrets_marks where name = '%s'", name)
	}
	return all
}

// Rows that are edited, swapped, copied, moved or taken away: never a wrong
// value, whoever asks and however.
func TestEditsOfTheFile(t *testing.T) {
	t.Parallel()
	for mode, require := range map[string]bool{"adopt": false, "require": true} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := attack(t, func(c *vault.Config) { c.RequireBindings = require })
			if w.check(t, "nothing done") {
				t.Errorf("nothing was done, and somebody is refused:\n%s", w.log.String())
			}
			for _, e := range edits() {
				w.undo(t)
				w.run(t, e.statement)
				if refused := w.check(t, e.statement); e.told && !refused {
					t.Errorf("nobody notices: %s", e.statement)
				}
			}
		})
	}
}

// Where bindings are required, even somebody who takes all of them away, and
// whose copies leave no twin behind, gets nothing out.
func TestEditsWithoutBindings(t *testing.T) {
	t.Parallel()
	w := attack(t, func(c *vault.Config) { c.RequireBindings = true })
	for _, statement := range []string{
		"update datasette_secrets set name = case name when 'ALPHA' then 'BETA' else 'ALPHA' end",
		"delete from datasette_secrets where version > 1",
		"update datasette_secrets set version = 10 - version",
		"update datasette_secrets set deleted_at = null",
	} {
		w.undo(t)
		w.run(t, statement)
		w.run(t, "delete from datasette_secrets_bindings")
		w.run(t, "delete from datasette_secrets_marks")
		if !w.check(t, statement) {
			t.Errorf("nobody notices: %s", statement)
		}
	}
}

// foreign stores a row as Python's datasette-secrets does.
func (w *attacked) foreign(t *testing.T, name, text string) {
	t.Helper()
	token, keyName, err := keys(t, keyA).Encrypt(secrets.NewValue(text), w.time)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.raw.Exec(`insert into datasette_secrets (name, version, note, encrypted, encryption_key_name, created_at, created_by, updated_at, updated_by)
		values (?, coalesce((select max(version) + 1 from datasette_secrets where name = ?), 1), '', ?, ?, datetime('now'), 'amy', datetime('now'), 'amy')`,
		name, name, token, keyName)
	if err != nil {
		t.Fatal(err)
	}
}

func (w *attacked) want(t *testing.T, name, want string) {
	t.Helper()
	found, err := w.Get(ctx, plugin("reader", "bob"), name)
	if err != nil || found.Value.Reveal() != want {
		t.Errorf("Get(%s) = %q, %v; want %q", name, found.Value.Reveal(), err, want)
	}
}

func (w *attacked) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := w.raw.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// unbound counts the rows that other programs stored and nobody adopted.
const unbound = "select count(*) from datasette_secrets where id not in (select secret_id from datasette_secrets_bindings)"

// What another program stores is adopted by whoever looks first, which is told,
// and from then on is trusted as little as anything else.
func TestRowsOfOtherProgramsAreAdopted(t *testing.T) {
	t.Parallel()
	looks := map[string]func(*testing.T, *attacked){
		"Get": func(t *testing.T, w *attacked) { w.want(t, "NEVER", "python") },
		"GetMany": func(t *testing.T, w *attacked) {
			results, err := w.GetMany(ctx, plugin("reader", ""), []string{"NEVER"})
			if err != nil || results[0].Found.Value.Reveal() != "python" {
				t.Errorf("got %v, %v", results, err)
			}
		},
		"Show": func(t *testing.T, w *attacked) {
			if secret, versions := show(t, w.world, "NEVER"); secret.Damage != nil || versions[0].Damage != nil {
				t.Errorf("got %v", secret.Damage)
			}
		},
		"Adopt": func(t *testing.T, w *attacked) {
			if n, err := w.Adopt(ctx); n != 1 || err != nil {
				t.Errorf("adopted %d, %v", n, err)
			}
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := attack(t)
			w.foreign(t, "NEVER", "python")
			look(t, w)
			if n := w.count(t, unbound); n != 0 {
				t.Errorf("%d rows are not bound", n)
			}
			if !strings.Contains(w.log.String(), "another program stored") {
				t.Errorf("the log does not tell: %s", w.log.String())
			}
			w.want(t, "NEVER", "python")
			w.run(t, "update datasette_secrets set encrypted = (select encrypted from datasette_secrets where id = 1) where name = 'NEVER'")
			_, err := w.Get(ctx, plugin("reader", ""), "NEVER")
			wantError(t, err, secrets.ErrIntegrity)
		})
	}
}

// Another program's version goes over ours, ours over that, and an older one of
// either can be restored.
func TestVersionsOfTwoPrograms(t *testing.T) {
	t.Parallel()
	w := attack(t)
	w.foreign(t, "BETA", "python three")
	w.want(t, "BETA", "python three")
	put(t, w.world, "BETA", "four", "")
	w.foreign(t, "BETA", "python five")
	put(t, w.world, "BETA", "six", "") // nobody looked at five
	for version, want := range map[int64]string{2: "beta two", 3: "python three", 5: "python five"} {
		if _, err := w.Restore(ctx, root, "BETA", version); err != nil {
			t.Errorf("restoring %d: %v", version, err)
		}
		w.want(t, "BETA", want)
	}
	if n := w.count(t, unbound); n != 0 {
		t.Errorf("%d rows are not bound", n)
	}
}

func TestRowsOfOtherProgramsAreRefused(t *testing.T) {
	t.Parallel()
	w := attack(t, func(c *vault.Config) { c.RequireBindings = true })
	w.foreign(t, "NEVER", "python")
	_, err := w.Get(ctx, plugin("reader", ""), "NEVER")
	wantError(t, err, secrets.ErrIntegrity)
	if !strings.Contains(err.Error(), "bindings: require") {
		t.Errorf("the error does not say why: %v", err)
	}
	if n, err := w.Adopt(ctx); n != 0 || err != nil {
		t.Errorf("adopted %d, %v", n, err)
	}
	put(t, w.world, "NEVER", "ours", "")
	w.want(t, "NEVER", "ours")
}

// A file of before there were bindings is adopted as a whole, tombstones and
// rows under a second key included. Under a wrong key, nothing is.
func TestFilesWithoutBindings(t *testing.T) {
	t.Parallel()
	w := attack(t)
	for _, statement := range []string{"delete from datasette_secrets_bindings", "delete from datasette_secrets_marks"} {
		w.run(t, statement)
	}
	w.reopen(t, func(c *vault.Config) { c.Keys = keys(t, keyB) })
	if n, err := w.Adopt(ctx); n != 0 || err != nil {
		t.Errorf("under a wrong key, adopted %d, %v", n, err)
	}
	w.reopen(t, func(c *vault.Config) { c.Keys = keys(t, []any{keyB, keyA}) })
	w.declare(t)
	if n, err := w.Adopt(ctx); n != 7 || err != nil {
		t.Errorf("adopted %d, %v", n, err)
	}
	if w.check(t, "after adoption") {
		t.Error("somebody is refused")
	}
}

// Setting a secret anew puts everything right, whatever was done to it.
func TestSettingAnewRepairs(t *testing.T) {
	t.Parallel()
	w := attack(t)
	for _, statement := range []string{
		"update datasette_secrets set encrypted = 'x' where name = 'ALPHA' and version = 3",
		"delete from datasette_secrets where name = 'ALPHA' and version > 1",
		"delete from datasette_secrets where name = 'ALPHA'",
		"update datasette_secrets_marks set version = 'x'",
		"update datasette_secrets_marks set version = 77",
		"delete from datasette_secrets_marks",
	} {
		w.undo(t)
		w.run(t, statement)
		if _, err := w.Get(ctx, plugin("reader", ""), "ALPHA"); !errors.Is(err, secrets.ErrIntegrity) {
			t.Errorf("%s: %v", statement, err)
		}
		version := put(t, w.world, "ALPHA", "anew", "")
		if w.want(t, "ALPHA", "anew"); version > 4 {
			t.Errorf("%s: the new version is %d", statement, version)
		}
	}
}
