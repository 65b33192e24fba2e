package vault_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

func withKeys(t *testing.T, value any) option {
	t.Helper()
	ring := keys(t, value)
	return func(c *vault.Config) { c.Keys = ring }
}

// tokens are the rows as they lie in the file: where, under which name of a
// key, and when the token was made.
func (w *attacked) tokens(t *testing.T) map[string]string {
	t.Helper()
	rows, err := w.raw.Query("select name, version, encryption_key_name, encrypted from datasette_secrets")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, key, token string
		var version int
		if err := rows.Scan(&name, &version, &key, &token); err != nil {
			t.Fatal(err)
		}
		raw, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprint(name, " ", version)] = fmt.Sprint(key, " ", binary.BigEndian.Uint64(raw[1:]))
	}
	return all
}

// Everything comes under the new key: older versions and tombstones
// as well, with the times that were in the tokens.
func TestRotate(t *testing.T) {
	t.Parallel()
	w := attack(t)
	w.time = w.time.Add(time.Hour)
	before := w.tokens(t)
	var seen []int64
	second := w.second(t, withKeys(t, []any{keyB, keyA}))
	rotated, err := second.Rotate(ctx, operator, func(done, total int64) { seen = append(seen, done, total) })
	if err != nil || rotated.Key != "k2" || rotated.Rows != 7 || rotated.Renewed != 7 || rotated.Damages != 0 {
		t.Errorf("got %+v, %v", rotated, err)
	}
	if fmt.Sprint(seen) != "[7 7]" {
		t.Errorf("progress %v", seen)
	}
	for row, was := range before {
		if now := w.tokens(t)[row]; now != strings.Replace(was, "default", "k2", 1) {
			t.Errorf("%s was %s and is %s", row, was, now)
		}
	}
	again, err := second.Rotate(ctx, operator, nil)
	if err != nil || again.Renewed != 0 {
		t.Errorf("a second rotation: %+v, %v", again, err)
	}
	if n := w.count(t, "select count(*) from datasette_secrets_key_events where event in ('key rotate', 'key rotated') and actor_id = 'op'"); n != 4 {
		t.Errorf("%d events are recorded, want 4", n)
	}
	w.UseKeys(keys(t, keyB)) // the new key alone opens everything
	if w.check(t, "under the new key") {
		t.Errorf("somebody is refused:\n%s", w.log.String())
	}
}

// A key that changes its name by moving in the list, as it does when the one
// behind it is retired, is the same key: only the rows' names are put right.
func TestRotateNames(t *testing.T) {
	t.Parallel()
	w := attack(t)
	if _, err := w.second(t, withKeys(t, []any{keyB, keyA})).Rotate(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
	token := "select count(*) from datasette_secrets where encrypted in (select encrypted from saved)"
	w.run(t, "create table saved as select encrypted from datasette_secrets")
	v := w.second(t, withKeys(t, keyB))
	report, err := v.ReportKeys(ctx, operator)
	if err != nil || report.Misnamed != 7 || report.UnderFirst() {
		t.Errorf("got %+v, %v", report, err)
	}
	rotated, err := v.Rotate(ctx, operator, nil)
	if err != nil || rotated.Renewed != 7 || w.count(t, token) != 7 {
		t.Errorf("got %+v, %v; %d tokens stay", rotated, err, w.count(t, token))
	}
	if n := w.count(t, "select count(*) from datasette_secrets where encryption_key_name = 'default'"); n != 7 {
		t.Errorf("%d rows name the key, want 7", n)
	}
	w.UseKeys(keys(t, keyB))
	if w.check(t, "with new names") {
		t.Errorf("somebody is refused:\n%s", w.log.String())
	}
}

// Whatever was done to the file, a rotation makes no wrong value of it, and
// hides nothing.
func TestRotationOfEdits(t *testing.T) {
	t.Parallel()
	w := attack(t)
	ring := keys(t, []any{keyB, keyA})
	second := w.second(t, func(c *vault.Config) { c.Keys = ring })
	caller := plugin("reader", "bob")
	w.UseKeys(ring)
	w.run(t, "drop index datasette_secrets_name_version") // which came back with the second vault
	for _, e := range edits() {
		w.undo(t)
		w.run(t, e.statement)
		_, err := second.Rotate(ctx, operator, nil)
		told := errors.Is(err, secrets.ErrIntegrity)
		if err != nil && !told {
			t.Errorf("%s: %v", e.statement, err)
		}
		for name, texts := range stored() {
			found, err := w.Get(ctx, caller, name)
			told = told || errors.Is(err, secrets.ErrIntegrity)
			if err == nil && (len(texts) == 0 || found.Value.Reveal() != texts[len(texts)-1]) {
				t.Errorf("%s: after the rotation %s is %q", e.statement, name, found.Value.Reveal())
			}
		}
		if e.told && !told {
			t.Errorf("nobody notices after the rotation: %s", e.statement)
		}
	}
}

// Interrupted after any row, everything is readable with both keys, and a
// rotation finishes what is left.
func TestInterruptedRotation(t *testing.T) {
	t.Parallel()
	w := attack(t)
	ring := keys(t, []any{keyB, keyA})
	for i := range 8 {
		// What a rotation that ended after i rows leaves, made of a whole one.
		w.undo(t)
		w.run(t, "drop table if exists half")
		w.run(t, fmt.Sprintf("create table half as select id from datasette_secrets where id > %d", i))
		if _, err := w.second(t, func(c *vault.Config) { c.Keys = ring }).Rotate(ctx, operator, nil); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"secrets", "secrets_bindings"} {
			id := map[string]string{"secrets": "id", "secrets_bindings": "secret_id"}[table]
			w.run(t, fmt.Sprintf("delete from datasette_%s where %s in (select id from half)", table, id))
			w.run(t, fmt.Sprintf("insert into datasette_%[1]s select * from saved_%[1]s where %[2]s in (select id from half)", table, id))
		}
		w.run(t, `delete from datasette_secrets_marks where name in (select name from datasette_secrets s where id in (select id from half)
			and version = (select max(version) from datasette_secrets where name = s.name))`)
		w.run(t, "insert or ignore into datasette_secrets_marks select * from saved_secrets_marks")
		w.UseKeys(ring)
		for name, texts := range stored() {
			found, err := w.Get(ctx, plugin("reader", ""), name)
			if want := append([]string{""}, texts...)[len(texts)]; err == nil && found.Value.Reveal() != want || err != nil && !errors.Is(err, secrets.ErrNotSet) {
				t.Errorf("after %d rows, %s is %q, %v", i, name, found.Value.Reveal(), err)
			}
		}
		rotated, err := w.second(t, func(c *vault.Config) { c.Keys = ring }).Rotate(ctx, operator, nil)
		if err != nil || rotated.Renewed != int64(7-min(i, 7)) {
			t.Errorf("after %d rows the rest is %+v, %v", i, rotated, err)
		}
	}
	w.UseKeys(keys(t, keyB))
	if w.check(t, "in the end") {
		t.Error("somebody is refused")
	}
}

// What is stored while a rotation runs is under the new key as well, though the
// vault that stores it began with the old one.
func TestNewKeysAreTakenOver(t *testing.T) {
	t.Parallel()
	configured := keys(t, keyA)
	w := attack(t, func(c *vault.Config) {
		c.Keys = configured
		c.Configured = func() *keyring.Keyring { return configured }
	})
	both := keys(t, []any{keyB, keyA})
	second := w.second(t, func(c *vault.Config) { c.Keys = both })
	if _, err := second.Rotate(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
	// Nobody told the first vault, and its configuration does not have the key.
	if _, err := w.Get(ctx, plugin("reader", ""), "ALPHA"); !errors.Is(err, secrets.ErrIntegrity) {
		t.Errorf("got %v", err)
	}
	configured = both
	w.log.Reset()
	if w.check(t, "with the new key") || strings.Contains(w.log.String(), "cannot be trusted") {
		t.Errorf("somebody is refused:\n%s", w.log.String())
	}
	put(t, w.world, "BETA", "new", "")
	if report, err := second.ReportKeys(ctx, operator); err != nil || !report.UnderFirst() {
		t.Errorf("got %+v, %v", report, err)
	}
	w.log.Reset()
	configured = keys(t, []any{keyA, keyB}) // in front, and nothing needs to be read with it
	put(t, w.world, "BETA", "newer", "")
	if n := w.count(t, "select count(*) from datasette_secrets where name = 'BETA' and encryption_key_name = 'k2'"); n == 0 {
		t.Error("the new key does not encrypt")
	}
	configured = nil // a configuration that cannot be read for a while
	w.want(t, "BETA", "newer")
}

func TestReportAndRetire(t *testing.T) {
	t.Parallel()
	w := attack(t)
	v := w.second(t, withKeys(t, []any{keyB, keyA}))
	dropped := 0
	retire := func(name string, abandon bool) error {
		return v.Retire(ctx, operator, name, abandon, func() error { dropped++; return nil })
	}
	wantError(t, retire("k3", false), secrets.ErrNotFound)
	wantError(t, retire("k2", false), secrets.ErrInvalid) // it encrypts
	err := retire("default", false)
	wantError(t, err, secrets.ErrInvalid)
	if !strings.Contains(fmt.Sprint(err), "7 of 7 rows still need the key") {
		t.Errorf("got %v", err)
	}
	if _, err := v.Rotate(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
	w.foreign(t, "NEVER", "of a program with the old key") // in the last moment
	wantError(t, retire("default", false), secrets.ErrInvalid)
	if _, err := v.Rotate(ctx, operator, nil); err != nil {
		t.Fatal(err)
	}
	report, err := v.ReportKeys(ctx, operator)
	if err != nil || len(report.Keys) != 2 || report.Keys[0].Rows != 8 || report.Keys[1].Rows != 0 || report.Damages != 0 || !report.UnderFirst() {
		t.Errorf("got %+v, %v", report, err)
	}
	if a, b := report.Keys[0].ID, report.Keys[1].ID; len(a) != 8 || a == b {
		t.Errorf("the ids are %q and %q", a, b)
	}
	if err := v.Retire(ctx, operator, "default", false, nil); err != nil || dropped != 0 {
		t.Errorf("asking: %v, dropped %d times", err, dropped)
	}
	if err := retire("default", false); err != nil || dropped != 1 {
		t.Errorf("got %v, dropped %d times", err, dropped)
	}
	wrong := errors.New("the file cannot be written")
	if err := v.Retire(ctx, operator, "default", false, func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if n := w.count(t, "select count(*) from datasette_secrets_key_events where event = 'key retire'"); n != 1 {
		t.Errorf("%d events are recorded, want 1", n)
	}
}

// A row that cannot be trusted keeps its key until it is given up.
func TestDamagedRowsKeepTheirKey(t *testing.T) {
	t.Parallel()
	w := attack(t)
	w.run(t, "update datasette_secrets set name = 'NEVER' where id = 1")
	v := w.second(t, withKeys(t, []any{keyB, keyA}))
	rotated, err := v.Rotate(ctx, operator, nil)
	wantError(t, err, secrets.ErrIntegrity)
	if rotated.Renewed != 6 || rotated.Damages != 1 || rotated.Damaged[0].Name != "NEVER" || rotated.Damaged[0].Row != 1 {
		t.Errorf("got %+v", rotated)
	}
	report, err := v.ReportKeys(ctx, operator)
	if err != nil || report.Damages != 2 || report.Keys[1].Damaged != 1 { // the row, and that NEVER has no mark
		t.Errorf("got %+v, %v", report, err)
	}
	wantError(t, v.Retire(ctx, operator, "default", false, nil), secrets.ErrIntegrity)
	if err := v.Retire(ctx, operator, "default", true, nil); err != nil {
		t.Error(err)
	}
}

// What another program stores under the old key while the rotation runs is
// renewed as well.
func TestRotationUnderForeignWrites(t *testing.T) {
	t.Parallel()
	w := attack(t)
	v := w.second(t, withKeys(t, []any{keyB, keyA}))
	once := sync.OnceFunc(func() { w.foreign(t, "NEVER", "old") })
	if _, err := v.Rotate(ctx, operator, func(int64, int64) { once() }); err != nil {
		t.Error(err)
	}
	if report, err := v.ReportKeys(ctx, operator); err != nil || !report.UnderFirst() || report.Rows != 8 {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestOnlyTheOperatorRotates(t *testing.T) {
	t.Parallel()
	w := attack(t)
	for _, caller := range []secrets.Caller{root, mallory, anonymous, plugin("reader", "root")} {
		_, err := w.Rotate(ctx, caller, nil)
		wantError(t, err, secrets.ErrDenied)
		wantError(t, w.Retire(ctx, caller, "default", true, nil), secrets.ErrDenied)
		wantError(t, w.AddKey(ctx, caller, "k2", func() error { t.Error("added"); return nil }), secrets.ErrDenied)
		_, err = w.AddSealedKey(ctx, caller, nil)
		wantError(t, err, secrets.ErrDenied)
	}
	_, err := w.ReportKeys(ctx, mallory)
	wantError(t, err, secrets.ErrDenied)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.Rotate(cancelled, operator, nil); err == nil {
		t.Error("a cancelled rotation says that it is done")
	}
}

// The keys of a sealed keyring are rotated without anything outside of the
// database, and a vault that has it open takes them over.
func TestRotateSealedKeys(t *testing.T) {
	t.Parallel()
	w := attack(t)
	means, err := seal.ByKey(secrets.NewValue(keyB))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AdoptKeys(ctx, operator, "first", means); err != nil {
		t.Fatal(err)
	}
	v := w.second(t, func(c *vault.Config) { c.Keys = nil })
	if _, err := v.AddSealedKey(ctx, operator, nil); !errors.Is(err, secrets.ErrSealed) {
		t.Errorf("got %v", err)
	}
	if _, err := v.Unseal(ctx, operator, []vault.Opening{{Means: means}}); err != nil {
		t.Fatal(err)
	}
	name, err := v.AddSealedKey(ctx, operator, nil)
	if err != nil || name != "k2" {
		t.Fatalf("got %q, %v", name, err)
	}
	put(t, w.world, "BETA", "beta two", "") // under the new key, of which nobody told
	if n := w.count(t, "select count(*) from datasette_secrets where encryption_key_name = 'k2'"); n != 1 {
		t.Errorf("%d rows are under the new key", n)
	}
	if rotated, err := v.Rotate(ctx, operator, nil); err != nil || rotated.Renewed != 7 {
		t.Errorf("got %+v, %v", rotated, err)
	}
	wantError(t, v.RetireSealed(ctx, operator, "k2", false), secrets.ErrInvalid)
	if err := v.RetireSealed(ctx, operator, "default", false); err != nil {
		t.Error(err)
	}
	for _, vault := range []*vault.Vault{w.Vault, v} {
		if report, err := vault.ReportKeys(ctx, operator); err != nil || len(report.Keys) != 1 || report.Rows != 8 || report.Damages != 0 {
			t.Errorf("got %+v, %v", report, err)
		}
	}
	w.want(t, "ALPHA", "alpha three")
	if name, err := v.AddSealedKey(ctx, operator, nil); err != nil || name != "k3" {
		t.Errorf("the next key is %q, %v", name, err)
	}
}
