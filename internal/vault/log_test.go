package vault_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// logged is the log as one line for each entry.
func (w *world) logged(t *testing.T) (lines []string) {
	t.Helper()
	d, _, err := db.Open(ctx, w.path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.ReadLog(ctx, 7, func(page audit.Page) error {
		for _, e := range page.Entries {
			if e.Pruned {
				lines = append(lines, fmt.Sprint(e.ID, " pruned"))
				continue
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprint(e.ID, " ", e.Action, " ", e.Name, " ", e.SecretID, " ", e.Version, " ", e.ActorID, " ", e.Proof, " ", e.Plugin, " ", e.Source, " ", e.Allowed)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func (w *world) verified(t *testing.T) vault.LogCheck {
	t.Helper()
	check, err := w.VerifyLog(ctx, operator, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// Every act and every refusal is an entry, by whomever.
func TestEveryActIsRecorded(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.env["DATASETTE_SECRETS_PASSWORD"] = "from the environment"
	begin := len(w.logged(t))
	put(t, w, "API_KEY", "one", "")
	put(t, w, "API_KEY", "two", "")
	_, _ = w.Get(ctx, plugin("demo", "carol"), "API_KEY")
	_, _ = w.Get(ctx, plugin("demo", "carol"), "PASSWORD")
	_, _ = w.Get(ctx, plugin("demo", "carol"), "NOBODYS")
	_, _ = w.GetMany(ctx, plugin("demo", ""), []string{"API_KEY", "NOBODYS", "PASSWORD"})
	_, _ = w.CanAccess(ctx, plugin("demo", "carol"), "API_KEY")
	_, _ = w.Status(ctx, plugin("demo", "carol"))
	_, _ = w.Annotate(ctx, root, "API_KEY", "a note")
	_, _ = w.Restore(ctx, root, "API_KEY", 1)
	_ = w.Delete(ctx, root, "API_KEY")
	_, _ = w.Put(ctx, mallory, "API_KEY", secrets.NewValue("x"), "")
	_ = w.Delete(ctx, mallory, "API_KEY")
	_ = w.Note(ctx, root, vault.ActionSignIn, nil)
	_ = w.DisablePlugin(ctx, root, "demo")
	_, _ = w.Rotate(ctx, operator, nil)
	want := `put API_KEY 1 1 root signed-in   true
put API_KEY 2 2 root signed-in   true
get API_KEY 2 2 carol asserted demo database true
get PASSWORD 0 0 carol asserted demo env true
get NOBODYS 0 0 carol asserted demo  false
get API_KEY 2 2  asserted demo database true
get NOBODYS 0 0  asserted demo  false
get PASSWORD 0 0  asserted demo env true
note API_KEY 2 2 root signed-in   true
restore API_KEY 3 3 root signed-in   true
delete API_KEY 4 4 root signed-in   true
put API_KEY 0 0 mallory signed-in   false
delete API_KEY 0 0 mallory signed-in   false
sign-in  0 0 root signed-in   true
disable  0 0 root signed-in demo  true
key-rotate default 0 0 op local   true
key-rotated default 0 0 op local   true`
	var got []string
	for _, line := range w.logged(t)[begin:] {
		_, line, _ = strings.Cut(line, " ")
		got = append(got, line)
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if check := w.verified(t); len(check.Bad) > 0 || check.Rows != 4 || check.Older+check.Foreign != 0 {
		t.Errorf("%+v", check)
	}
}

// What cannot be recorded does not happen: no value leaves, and nothing is
// stored.
func TestNothingWithoutTheLog(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	w.env["DATASETTE_SECRETS_PASSWORD"] = "from the environment"
	raw := w.raw(t)
	for _, statement := range []string{"drop table datasette_secrets_log", "drop table datasette_secrets_log_hashes"} {
		for w.counted(t, "select count(*) from datasette_secrets_log")%audit.StoredWith != audit.StoredWith-1 { // until hashes are due
			if _, err := w.Get(ctx, plugin("demo", "carol"), "API_KEY"); err != nil {
				t.Fatal(err)
			}
		}
		backup := filepath.Join(t.TempDir(), "backup.db")
		run(t, raw, "vacuum into '"+backup+"'")
		run(t, raw, statement)
		for _, name := range []string{"API_KEY", "PASSWORD"} {
			if found, err := w.Get(ctx, plugin("demo", "carol"), name); err == nil || found.Value.Len() > 0 {
				t.Errorf("%s: %s gives a value", statement, name)
			}
		}
		if results, err := w.GetMany(ctx, plugin("demo", ""), []string{"API_KEY", "PASSWORD"}); err == nil || len(results) > 0 {
			t.Errorf("%s: many values: %v, %v", statement, results, err)
		}
		if _, err := w.Put(ctx, root, "API_KEY", secrets.NewValue("two"), ""); err == nil {
			t.Errorf("%s: a value is stored", statement)
		}
		if n := w.counted(t, "select count(*) from datasette_secrets"); n != 1 {
			t.Errorf("%s: %d versions", statement, n)
		}
		run(t, raw, "attach '"+backup+"' as kept")
		table := strings.TrimPrefix(statement, "drop table ")
		run(t, raw, "create table "+table+" as select * from kept."+table)
		run(t, raw, "detach kept")
		if _, err := w.Get(ctx, plugin("demo", "carol"), "API_KEY"); err != nil {
			t.Errorf("%s, and back: %v", statement, err)
		}
	}
}

// A head is signed when there is something new; the key that signs goes with
// the encryption keys, and is followed by another where they are lost.
func TestHeadsAreSigned(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	first := w.sign(t)
	if first == "" {
		t.Fatal("nothing is signed")
	}
	w.sign(t) // the entry that tells of the key
	if again := w.sign(t); again != "" {
		t.Error("the same is signed again")
	}
	keysBefore, err := w.LogKeys(ctx, operator)
	if err != nil || len(keysBefore) != 1 {
		t.Fatal(keysBefore, err)
	}
	rotating := w.second(t, withKeys(t, []any{keyB, keyA}))
	if _, err := rotating.Rotate(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
	w.UseKeys(keys(t, keyB)) // the old key is gone, the key of the log is not
	put(t, w, "API_KEY", "two", "")
	w.sign(t)
	if now, err := w.LogKeys(ctx, operator); err != nil || strings.Join(now, " ") != strings.Join(keysBefore, " ") {
		t.Errorf("after a rotation: %v, %v", now, err)
	}
	if check := w.verified(t); len(check.Bad) > 0 || check.Covered != check.Entries {
		t.Errorf("after a rotation: %+v", check)
	}
	w.UseKeys(keys(t, keyA)) // and now it is lost
	put(t, w, "PASSWORD", "three", "")
	w.sign(t)
	w.sign(t)
	now, err := w.LogKeys(ctx, operator)
	if err != nil || len(now) != 2 || now[1] != keysBefore[0] {
		t.Errorf("after the keys were lost: %v, %v", now, err)
	}
	if check := w.verified(t); len(check.Bad) > 0 || check.Covered != check.Entries {
		t.Errorf("after the keys were lost: %+v", check)
	}
	check, err := w.VerifyLog(ctx, operator, keysBefore, []string{first})
	if err != nil || len(check.Bad) == 0 {
		t.Errorf("a head that the kept key did not sign is taken: %+v, %v", check, err)
	}
	w.Seal()
	if _, err := w.SignHead(ctx); !errors.Is(err, secrets.ErrSealed) {
		t.Errorf("sealed: %v", err)
	}
}

func (w *world) sign(t *testing.T) string {
	t.Helper()
	signed, err := w.SignHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestProveEntry(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	w.sign(t)
	verifying, err := w.LogKeys(ctx, operator)
	if err != nil {
		t.Fatal(err)
	}
	entry, proof, err := w.ProveEntry(ctx, operator, 2)
	if err != nil {
		t.Fatal(err)
	}
	if id, _, err := audit.CheckProof(proof, [32]byte(entry.Leaf), verifying...); err != nil || id != 2 {
		t.Errorf("got %d, %v", id, err)
	}
	if _, _, err := w.ProveEntry(ctx, operator, 100); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if _, _, err := w.ProveEntry(ctx, plugin("demo", ""), 2); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("a plugin: %v", err)
	}
}

// Pruning takes the fields of old entries away and nothing else; the log is
// proven as before, and an older kept head still fits.
func TestPruneLog(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	kept := w.sign(t)
	for range 20 {
		if _, err := w.Get(ctx, plugin("demo", "carol"), "API_KEY"); err != nil {
			t.Fatal(err)
		}
	}
	w.time = w.time.Add(48 * time.Hour)
	put(t, w, "API_KEY", "two", "")
	all := int64(len(w.logged(t)))
	if n, err := w.PruneLog(ctx, vault.Keep{Entries: 10}); err != nil || n != all-10 {
		t.Fatalf("pruned %d, %v; want %d", n, err, all-10)
	}
	if n, err := w.PruneLog(ctx, vault.Keep{Age: 24 * time.Hour}); err != nil || n != 9 {
		t.Fatalf("pruned %d, %v; want 9", n, err)
	}
	if n, err := w.PruneLog(ctx, vault.Keep{Age: 24 * time.Hour}); err != nil || n != 0 {
		t.Fatalf("pruned again: %d, %v", n, err)
	}
	w.sign(t)
	lines := w.logged(t)
	if !strings.HasSuffix(lines[all-2], " pruned") || strings.HasSuffix(lines[all-1], " pruned") {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
	check, err := w.VerifyLog(ctx, operator, nil, []string{kept})
	if err != nil || len(check.Bad) > 0 || check.Pruned != all-1 || check.Older != 1 {
		t.Errorf("%+v, %v", check, err)
	}
	if n := w.counted(t, "select count(*) from datasette_secrets_log where id < ? and (salt is not null or name is not null)", all); n != 0 {
		t.Errorf("%d entries have something left", n)
	}
}

// harm is one change of the file by somebody who can write it.
type harm struct {
	name string
	// statements are tried at random entries; :id is one, :other another.
	statements []string
	first      bool // the first bad entry is :id
}

func harms() []harm {
	columns := []string{"action", "name", "actor_id", "actor_proof", "plugin", "client", "source", "reason", "request_id", "remote"}
	edit := harm{name: "a column is edited", first: true, statements: []string{
		"update datasette_secrets_log set time = strftime('%Y-%m-%d %H:%M:%f', time, '+1 second') where id = :id",
		"update datasette_secrets_log set time = time || ' ' where id = :id",
		"update datasette_secrets_log set secret_id = coalesce(secret_id, 0) + 1 where id = :id",
		"update datasette_secrets_log set version = coalesce(version, 0) + 1 where id = :id",
		"update datasette_secrets_log set version = 'x' where id = :id",
		"update datasette_secrets_log set allowed = 1 - allowed where id = :id",
		"update datasette_secrets_log set allowed = 'yes' where id = :id",
		"update datasette_secrets_log set allowed = 2 where id = :id",
		"update datasette_secrets_log set allowed = null where id = :id",
		"update datasette_secrets_log set salt = zeroblob(16) where id = :id",
		"update datasette_secrets_log set salt = null where id = :id",
		"update datasette_secrets_log set leaf = zeroblob(32) where id = :id",
		"update datasette_secrets_log set leaf = 'text' where id = :id",
		"update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null, actor_id = null, actor_proof = null, plugin = null, client = null, source = null, allowed = null, reason = null, request_id = null, remote = null, salt = null where id = :id",
	}}
	for _, c := range columns {
		edit.statements = append(edit.statements,
			"update datasette_secrets_log set "+c+" = coalesce("+c+", '') || 'x' where id = :id",
			"update datasette_secrets_log set "+c+" = case when "+c+" is null then '' else null end where id = :id",
			"update datasette_secrets_log set "+c+" = coalesce(cast("+c+" as blob), x'00') where id = :id",
		)
	}
	return []harm{
		edit,
		{name: "an entry is removed", first: true, statements: []string{
			"delete from datasette_secrets_log where id = :id",
		}},
		{name: "the end is cut off", first: true, statements: []string{
			"delete from datasette_secrets_log where id >= :id",
		}},
		{name: "an entry is inserted", statements: []string{
			"insert into datasette_secrets_log select (select max(id) + 1 from datasette_secrets_log), time, action, name, secret_id, version, actor_id, actor_proof, plugin, client, source, allowed, reason, request_id, remote, salt, leaf from datasette_secrets_log where id = :id",
			"insert into datasette_secrets_log select -:id, time, action, name, secret_id, version, actor_id, actor_proof, plugin, client, source, allowed, reason, request_id, remote, salt, leaf from datasette_secrets_log where id = :id",
			"insert into datasette_secrets_log (id, leaf) values (9223372036854775807, zeroblob(32))",
		}},
		{name: "two entries change places", statements: []string{
			"update datasette_secrets_log set id = -1 where id = :id; update datasette_secrets_log set id = :id where id = :other; update datasette_secrets_log set id = :other where id = -1",
		}},
		{name: "hashes", statements: []string{
			"update datasette_secrets_log_hashes set hash = zeroblob(32) where id = :id",
			"update datasette_secrets_log_hashes set hash = 'text' where id = :id",
			"delete from datasette_secrets_log_hashes where id = :id",
			"delete from datasette_secrets_log_hashes where id >= :id",
			"insert into datasette_secrets_log_hashes (id, hash) values (-:id, zeroblob(32))",
			"insert into datasette_secrets_log_hashes (id, hash) select max(id) + 1, zeroblob(32) from datasette_secrets_log_hashes",
		}},
		{name: "heads", statements: []string{
			"update datasette_secrets_log_heads set signed = replace(signed, 'datasette', 'Datasette') where id = 1",
			"update datasette_secrets_log_heads set signed = cast(signed as blob) where id = 2",
			"update datasette_secrets_log_heads set size = size + 1 where id = 1",
			"update datasette_secrets_log_heads set time = 'now' where id = 2",
			"delete from datasette_secrets_log_heads where id = 1",
			"update datasette_secrets_log_heads set id = -id",
			"insert into datasette_secrets_log_heads select 3, time, size, signed from datasette_secrets_log_heads where id = 1",
		}},
		{name: "keys", statements: []string{
			"update datasette_secrets_log_keys set verifying = replace(verifying, 'datasette', 'Datasette')",
			"update datasette_secrets_log_keys set wrapped = zeroblob(100)",
			"delete from datasette_secrets_log_keys",
		}},
		{name: "the table", statements: []string{
			"delete from datasette_secrets where id = 1",
			"update datasette_secrets set version = version + 10 where id = 1",
			"update datasette_secrets set name = 'OTHER' where id = 1",
			"delete from datasette_secrets_log_heads; delete from datasette_secrets_log_hashes; delete from datasette_secrets_log",
		}},
	}
}

// Whatever somebody who can write the file does to the log, verifying it finds
// that, and names the first bad entry.
func TestEditingOfTheLogIsFound(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	put(t, w, "PASSWORD", "two", "")
	for i := range 10 {
		_, _ = w.Get(ctx, plugin("demo", "carol"), "API_KEY")
		if i == 5 {
			w.sign(t)
		}
	}
	w.sign(t)
	w.sign(t)
	if check := w.verified(t); len(check.Bad) > 0 || check.Covered != check.Entries {
		t.Fatalf("untouched: %+v", check)
	}
	last := len(w.logged(t))
	original := filepath.Join(t.TempDir(), "original.db")
	run(t, w.raw(t), "vacuum into '"+original+"'")
	r := rand.New(rand.NewPCG(3, 4))
	for _, h := range harms() {
		for _, statement := range h.statements {
			id := 1 + r.IntN(last-1) // one after it stays
			other := id + 1 + r.IntN(last-id)
			c := w.copyOf(t, original)
			raw := c.raw(t)
			for part := range strings.SplitSeq(statement, "; ") {
				if _, err := raw.Exec(part, sql.Named("id", id), sql.Named("other", other)); err != nil {
					t.Fatalf("%s: %v", part, err)
				}
			}
			check := c.verified(t)
			if len(check.Bad) == 0 && check.Doubt == "" {
				t.Errorf("%s: %s: nothing was found (entry %d)", h.name, statement, id)
				continue
			}
			if h.first && check.Bad[0].Entry != int64(id) {
				t.Errorf("%s: %s: the first is entry %d, found %v", h.name, statement, id, check.Bad)
			}
		}
	}
}

// No hash covers the table by which entries are found. What somebody does to it is
// found all the same, and mended by deleting it all and starting again.
func TestHidingEntriesIsFound(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	for range 600 {
		if _, err := w.Get(ctx, plugin("demo", "carol"), "API_KEY"); err != nil {
			t.Fatal(err)
		}
	}
	original := filepath.Join(t.TempDir(), "original.db")
	run(t, w.raw(t), "vacuum into '"+original+"'")
	for statement, want := range map[string]string{
		"delete from datasette_secrets_log_blocks where block = 1":                                      "entries 257 to 512 are",
		"delete from datasette_secrets_log_blocks where kind = 'name' and block = 0":                    "entries 1 to 256 are",
		"delete from datasette_secrets_log_blocks":                                                      "entries 1 to 512 are",
		"update datasette_secrets_log_blocks set uses = uses - 1 where kind = 'name' and block = 1":     "entries 257 to 512 are",
		"insert into datasette_secrets_log_blocks values (0, 'actor_id', 'mallory', 1)":                 "entries 1 to 256 are",
		"insert into datasette_secrets_log_blocks values (2, 'name', 'API_KEY', 1)":                     "that the log does not have",
		"insert into datasette_secrets_log_blocks values (1000000, 'all', '', 1)":                       "that the log does not have",
		"update datasette_secrets_log_blocks set text = 'nobody' where kind = 'actor_id' and block = 1": "entries 257 to 512 are",
	} {
		c := w.copyOf(t, original)
		run(t, c.raw(t), statement)
		if check := c.verified(t); len(check.Bad) != 1 || !strings.Contains(check.Bad[0].String(), want) {
			t.Errorf("%s: %+v", statement, check.Bad)
		}
		run(t, c.raw(t), "delete from datasette_secrets_log_blocks")
		c.second(t)
		if check := c.verified(t); len(check.Bad) > 0 {
			t.Errorf("%s, and started again: %+v", statement, check.Bad)
		}
	}
}

// A file that was put back to an older state is found with a head that was
// kept elsewhere.
func TestAnOlderFileIsFoundWithAKeptHead(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	w.sign(t)
	w.sign(t)
	older := filepath.Join(t.TempDir(), "older.db")
	run(t, w.raw(t), "vacuum into '"+older+"'")
	put(t, w, "API_KEY", "two", "")
	kept := w.sign(t)
	c := w.copyOf(t, older)
	if check := c.verified(t); len(check.Bad) > 0 {
		t.Errorf("without a head: %+v", check)
	}
	check, err := c.VerifyLog(ctx, operator, nil, []string{kept})
	if err != nil || len(check.Bad) == 0 {
		t.Errorf("with a head: %+v, %v", check, err)
	}
}

// What Python's program stored is told apart, until it is adopted.
func TestRowsOfOthersAreToldApart(t *testing.T) {
	t.Parallel()
	w := open(t)
	put(t, w, "API_KEY", "one", "")
	token, _, err := keys(t, keyA).Encrypt(secrets.NewValue("python's"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.raw(t).Exec("insert into datasette_secrets (name, note, version, encrypted, encryption_key_name) values ('PASSWORD', '', 1, ?, 'default')", token); err != nil {
		t.Fatal(err)
	}
	if check := w.verified(t); len(check.Bad) > 0 || check.Foreign != 1 || check.Rows != 2 {
		t.Errorf("before: %+v", check)
	}
	if _, err := w.Get(ctx, plugin("demo", ""), "PASSWORD"); err != nil {
		t.Fatal(err)
	}
	if check := w.verified(t); len(check.Bad) > 0 || check.Foreign != 0 || check.Rows != 2 {
		t.Errorf("after: %+v", check)
	}
}

// counted is the number that a query gives.
func (w *world) counted(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := w.raw(t).QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func run(t *testing.T, d *sql.DB, statement string) {
	t.Helper()
	if _, err := d.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// copyOf is a world over a copy of a file.
func (w *world) copyOf(t *testing.T, file string) *world {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &world{path: filepath.Join(t.TempDir(), "copy.db"), env: w.env, time: w.time}
	if err := os.WriteFile(c.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Vault = c.second(t)
	return c
}
