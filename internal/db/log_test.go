package db_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
)

// Two handles write the log in turn, as two processes would, some transactions
// fail in the middle, and the file is opened anew. The stored hashes are those of
// the library all the same, without gaps; they lag behind by less than a whole
// block, and by nothing when a head is stored.
func TestHashesOfTheLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	handles := []*db.DB{open(t, path), open(t, path)}
	runOn(t, path, `
		create trigger no_entry before insert on datasette_secrets_log when new.name = 'NO_ENTRY' begin select raise(abort, 'no'); end;
		create table refused (n); insert into refused values (0);
		create trigger no_hash before insert on datasette_secrets_log_hashes when (select n from refused) = 1 begin select raise(abort, 'no'); end`)
	r := rand.New(rand.NewPCG(5, 6))
	record := func(d *db.DB, entries int, last string, sign bool) error {
		return d.Update(context.Background(), func(tx *db.Tx) error {
			for range entries {
				tx.Record(audit.Entry{Action: "get", Name: "KEY", Allowed: true})
			}
			tx.Record(audit.Entry{Action: "get", Name: last, Allowed: true})
			if sign {
				return tx.AddLogHead(audit.Head{Size: 1, Time: "now"}, "signed")
			}
			return nil
		})
	}
	for i := range 150 {
		if i%40 == 25 {
			handles[0].Close()
			handles[0] = open(t, path)
		}
		d, entries, sign := handles[r.IntN(2)], r.IntN(5), r.IntN(10) == 0
		if i%20 == 19 {
			entries = r.IntN(200)
		}
		switch {
		case i%7 == 3:
			if err := record(d, entries, "NO_ENTRY", sign); err == nil {
				t.Fatal("the trigger did not refuse")
			}
			continue
		case i%11 == 5:
			runOn(t, path, "update refused set n = 1")
			if err := record(d, 64, "KEY", sign); err == nil {
				t.Fatal("hashes are stored in spite of the trigger")
			}
			runOn(t, path, "update refused set n = 0")
			continue
		}
		if err := record(d, entries, "KEY", sign); err != nil {
			t.Fatal(err)
		}
		size, stored := compareHashes(t, d)
		if lag := size - stored; lag >= audit.StoredWith || sign && lag > 0 {
			t.Fatalf("%d of %d entries have their hashes stored, and a head was: %v", stored, size, sign)
		}
	}
}

// compareHashes compares all hashes that are stored with those that the library
// makes of the leaves. It returns how many entries there are, and how many of
// them have their hashes stored.
func compareHashes(t *testing.T, d *db.DB) (size, stored int64) {
	t.Helper()
	var all, got []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, i := range indexes {
			hashes = append(hashes, all[i])
		}
		return hashes, nil
	})
	err := d.ReadLog(context.Background(), 50, func(page audit.Page) error {
		for _, e := range page.Entries {
			hashes, err := tlog.StoredHashesForRecordHash(size, tlog.Hash(e.Leaf), read)
			if err != nil {
				return err
			}
			all, size = append(all, hashes...), size+1
		}
		for _, h := range page.Hashes {
			if h.Index != int64(len(got)) {
				t.Fatalf("hash %d follows hash %d", h.Index, len(got)-1)
			}
			got = append(got, tlog.Hash(h.Hash))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range got {
		if h != all[i] {
			t.Fatalf("hash %d is not that of the entries", i)
		}
	}
	for stored < size && audit.FirstIndex(stored+1) <= int64(len(got)) {
		stored++
	}
	if audit.FirstIndex(stored) != int64(len(got)) {
		t.Fatalf("of the hashes of entry %d some are stored", stored+1)
	}
	return size, stored
}
