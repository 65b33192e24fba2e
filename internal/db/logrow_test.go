package db_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// What is written as JSON is read as the log has it.
func TestParseLogEntry(t *testing.T) {
	t.Parallel()
	d, path := logOf(t, 60)
	runOn(t, path, `update datasette_secrets_log set name = 'ü"<\ ', actor_id = null, client = '', salt = null where id = 3`)
	runOn(t, path, `update datasette_secrets_log set time = null, action = null, name = null, secret_id = null, version = null, actor_id = null,
		actor_proof = null, plugin = null, client = null, source = null, allowed = null, reason = null, request_id = null, remote = null, salt = null where id = 4`)
	view(t, d, func(tx *db.Tx) error {
		for id := range int64(60) {
			row, _, err := tx.LogRow(id + 1)
			if err != nil {
				return err
			}
			want, _, err := tx.LogEntry(id + 1)
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(row, "", "\t")
			if err != nil {
				return err
			}
			if got, err := db.ParseLogEntry(text); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("entry %d: %+v, %v\nwant %+v", id+1, got, err, want)
			}
		}
		return nil
	})
}

func TestParseLogEntryRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "not an entry as JSON",
		"[]":                             "not an entry as JSON",
		"null":                           "has no id",
		`{}`:                             "has no id",
		`{"id": "1"}`:                    "has no id",
		`{"id": 1.5}`:                    "id: it is not a whole number",
		`{"id": 99999999999999999999}`:   "id: it is not a whole number",
		`{"id": 1, "name": ["x"]}`:       "name: it is neither text nor a number",
		`{"id": 1, "allowed": true}`:     "allowed: it is neither text nor a number",
		`{"id": 1, "salt": "xy"}`:        "salt: it is not hexadecimal",
		`{"id": 1, "leaf": "0"}`:         "leaf: it is not hexadecimal",
		`{"id": 1, "colour": "red"}`:     `an entry has no "colour"`,
		`{"id": 1} {"id": 2}`:            "more than one entry",
		`{"id": 1, "name": "x"} rubbish`: "more than one entry",
	} {
		if e, err := db.ParseLogEntry([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, e, err, want)
		}
	}
}

// Whatever text is read, it proves nothing but the entry that was written.
func FuzzParseLogEntry(f *testing.F) {
	signing, key, err := audit.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	entry := audit.Entry{
		ID: 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Action: "get", Name: "KEY", SecretID: 2, Version: 3, ActorID: "alice",
		Proof: "proven", Plugin: "demo", Source: "database", Allowed: true, Reason: "granted", RequestID: "r", Remote: "127.0.0.1:1",
	}
	salt := [audit.SaltSize]byte{1, 2, 3}
	leaf := entry.Leaf(salt)
	var tree audit.Tree
	tree.Append(nil, leaf)
	head := audit.Head{Size: 1, Root: tree.Root(), Time: "2026-01-02 03:04:06.000"}
	signed, err := head.Sign(signing)
	if err != nil {
		f.Fatal(err)
	}
	proof, err := audit.Proof(1, head, signed, nil)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(db.LogRow{
		ID: 1, Time: "2026-01-02 03:04:05.678", Action: "get", Name: "KEY", SecretID: 2, Version: 3, ActorID: "alice",
		ActorProof: "proven", Plugin: "demo", Source: "database", Allowed: true, Reason: "granted", RequestID: "r", Remote: "127.0.0.1:1",
		Salt: salt[:], Leaf: leaf[:],
	})
	if err != nil {
		f.Fatal(err)
	}
	if e, err := db.ParseLogEntry(text); err != nil || !proven(proof, e, key) {
		f.Fatalf("the entry itself is not proven: %+v, %v", e, err)
	}
	f.Add(text)
	f.Add([]byte(`{"id": 1, "time": "2026-01-02 03:04:05.6780", "allowed": 2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := db.ParseLogEntry(text)
		if err == nil && proven(proof, e, key) && e.Entry != entry {
			t.Errorf("%s is proven", text)
		}
	})
}

func proven(proof string, e audit.Stored, key string) bool {
	_, err := audit.CheckEntry(proof, e, key)
	return err == nil
}
