package db_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// A file that this program made before there were tables for plugins, and one
// that Python's Datasette made, get them when they are opened.
func TestFilesWithoutPluginsGetTheirTables(t *testing.T) {
	t.Parallel()
	const before = upstream + `
		create table datasette_secrets_migrations (name text primary key, applied_at text not null);
		insert into datasette_secrets_migrations values ('0001-tables', '2025-12-31 00:00:00');`
	const python = upstream + `
		create table _sqlite_migrations (migration_set text, name text, applied_at text);
		insert into _sqlite_migrations values ('datasette_secrets', 'm001', '2024-06-01');`
	for name, schema := range map[string]string{"earlier": before, "Python's": python} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t, schema+`insert into datasette_secrets (name, version, encrypted, encryption_key_name)
				values ('A', 1, 'token', 'default')`)
			for range 2 {
				d := open(t, path)
				must(t, d, func(tx *db.Tx) error {
					return errors.Join(
						tx.SeePlugin(db.Plugin{Name: "weather", Hash: "h", Declarations: "[]", Hooks: "[]"}),
						tx.RecordPluginDecision(db.PluginDecision{Plugin: "weather", Decision: "first-use"}))
				})
				if row := newest(t, d, "A"); string(row.Encrypted) != "token" {
					t.Errorf("got %+v", row)
				}
				d.Close()
			}
			if n := scalar(t, path, "select count(*) from datasette_secrets_plugin_decisions"); n != "2" {
				t.Errorf("%s decisions, want 2", n)
			}
			fresh := filepath.Join(t.TempDir(), "fresh.db")
			open(t, fresh).Close()
			const ours = "select group_concat(name || ':' || sql, char(10)) from (select * from sqlite_master where name like 'datasette_secrets_plugin%' and sql is not null order by name)"
			if got, want := scalar(t, path, ours), scalar(t, fresh, ours); got != want || !strings.Contains(got, "datasette_secrets_plugin_requests") {
				t.Errorf("the migrated file has\n%s\na new one\n%s", got, want)
			}
		})
	}
}

// A request stands once, and a name means itself, whatever is in it.
func TestPluginRequests(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "a.db"))
	must(t, d, func(tx *db.Tx) error {
		return errors.Join(tx.AskForPlugin("p", "secret", "A'; --"), tx.AskForPlugin("p", "hook", "A'; --"),
			tx.DecidePluginRequest("p", "hook", "A'; --", "granted", "root"))
	})
	err := d.Update(t.Context(), func(tx *db.Tx) error { return tx.AskForPlugin("p", "secret", "A'; --") })
	if err == nil {
		t.Error("the same request stands twice")
	}
	must(t, d, func(tx *db.Tx) error {
		requests, err := tx.PluginRequests()
		if len(requests) != 2 || requests[0].State != "pending" || requests[0].DecidedAt != "" ||
			requests[1].State != "granted" || requests[1].DecidedAt != "2026-01-02 03:04:05" || requests[1].DecidedBy != "root" {
			t.Errorf("got %+v", requests)
		}
		return err
	})
}

func TestChangesOfAnybodyAreSeen(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{"journal": upstream, "log": "pragma journal_mode = wal;" + upstream} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t, schema)
			d, other := open(t, path), open(t, path)
			changed := func(want bool, why string) {
				t.Helper()
				before, err := d.Changes(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				switch why {
				case "ours":
					insert(t, d, "A", "one")
				case "another's":
					insert(t, other, "A", "two")
				case "reading":
					newest(t, other, "A")
				}
				after, err := d.Changes(t.Context())
				if err != nil || (after != before) != want {
					t.Errorf("%s: %d, then %d, %v", why, before, after, err)
				}
			}
			changed(true, "ours")
			changed(true, "another's")
			changed(false, "reading")
			changed(false, "nothing")
		})
	}
}

func TestChangesOfAClosedFile(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "a.db"))
	d.Close()
	if _, err := d.Changes(t.Context()); err == nil || errors.Is(err, secrets.ErrDenied) {
		t.Errorf("got %v", err)
	}
}

// must commits what act does.
func must(t *testing.T, d *db.DB, act func(*db.Tx) error) {
	t.Helper()
	if err := d.Update(t.Context(), act); err != nil {
		t.Fatal(err)
	}
}
