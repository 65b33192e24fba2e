package pluginhost_test

import (
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

func (w *world) put(name, text string) {
	w.t.Helper()
	if _, err := w.vault.Put(w.t.Context(), rootCaller(), name, secrets.NewValue(text), ""); err != nil {
		w.t.Fatal(err)
	}
}

// A plugin is told at once of what this process does, soon of what another one
// does, and only of its own secrets.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "watcher", "stranger", "healthy")
	w.says("watch OPENED  0.")
	w.put("WATCHED", "one")
	w.says("watch UPDATED WATCHED 1.")
	w.put("NOBODYS", "one")
	w.put("WATCHED_TOO", "one")
	w.says("watch UPDATED WATCHED_TOO 1.")
	if err := w.vault.Delete(t.Context(), rootCaller(), "WATCHED"); err != nil {
		t.Fatal(err)
	}
	w.says("watch REVOKED WATCHED 2.")
	w.execute(`insert into datasette_secrets (name, version, encrypted, encryption_key_name) values ('WATCHED', 3, 'x', 'default')`)
	w.says("watch UPDATED WATCHED 3.")
	if strings.Contains(w.log.text(), "NOBODYS") {
		t.Error("the plugin was told of a secret that it did not declare")
	}
	w.says("watch ended PermissionDenied: permission denied: secret not declared by this plugin")
	w.isUnharmed()
}

// execute changes the vault's file as another program does.
func (w *world) execute(statement string) {
	w.t.Helper()
	file, err := sql.Open("sqlite3", w.file+"?_busy_timeout=10000")
	if err != nil {
		w.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Exec(statement); err != nil {
		w.t.Fatal(err)
	}
}

// A plugin that opens watches and does not read them is cut off. Neither other
// plugins nor the host's memory notice.
func TestWatchesThatNobodyReads(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "dawdler", "last", "healthy")
	w.says("one more ResourceExhausted: temporarily unavailable: too many watches are open at once; close one first")
	w.says("dawdling on 16")
	w.says("watch OPENED")
	w.execute(`insert into datasette_secrets (name, version, encrypted, encryption_key_name)
		with recursive n(i) as (select 0 union all select i + 1 from n where i < 998)
		select printf('MANY_%d', i), 1, 'x', 'default' from n
		union all select 'MANY_LAST', 1, 'x', 'default'`)
	w.says("watch UPDATED MANY_LAST 1.")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for version := 2; version <= 20; version++ {
		w.execute(`insert into datasette_secrets (name, version, encrypted, encryption_key_name)
			select name, max(version) + 1, 'x', 'default' from datasette_secrets where name like 'MANY_%' group by name`)
		w.put("NOBODYS", "the vault looks at once")
		w.says(fmt.Sprintf("watch UPDATED MANY_LAST %d.", version))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the host's memory grew by %d MiB", grown>>20)
	}
	w.put("GO", "on")
	w.says("dawdled")
	if n := strings.Count(w.log.text(), "then ResourceExhausted: temporarily unavailable: changes come faster than they are read"); n != 16 {
		t.Errorf("%d of 16 were cut off", n)
	}
	w.isUnharmed()
}
