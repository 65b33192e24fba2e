package audit_test

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/datasette-secrets/datasette-secrets/internal/audit"
)

// kept is a log in memory.
type kept struct {
	entries []audit.Stored
	hashes  []audit.StoredHash
	heads   []audit.StoredHead
}

func (k *kept) Heads() iter.Seq2[audit.StoredHead, error] { return all(k.heads) }

// Pages are of few entries.
func (k *kept) Pages() iter.Seq2[audit.Page, error] {
	const size = 7
	var pages []audit.Page
	hashes := k.hashes
	for entries := range slices.Chunk(k.entries, size) {
		end := audit.FirstIndex(int64(size * (len(pages) + 1)))
		n := slices.IndexFunc(hashes, func(h audit.StoredHash) bool { return h.Index >= end })
		if n < 0 {
			n = len(hashes)
		}
		pages = append(pages, audit.Page{Entries: entries, Hashes: hashes[:n]})
		hashes = hashes[n:]
	}
	return all(append(pages, audit.Page{Hashes: hashes}))
}

func all[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// clone is a copy that shares nothing.
func (k *kept) clone() *kept {
	c := &kept{heads: slices.Clone(k.heads)}
	for _, e := range k.entries {
		e.Salt, e.Leaf = slices.Clone(e.Salt), slices.Clone(e.Leaf)
		c.entries = append(c.entries, e)
	}
	for _, h := range k.hashes {
		c.hashes = append(c.hashes, audit.StoredHash{Index: h.Index, Hash: slices.Clone(h.Hash)})
	}
	return c
}

// made is a log of n entries with a head after some and the last, and
// its public key.
func made(t testing.TB, n int) (k *kept, verifying string) {
	t.Helper()
	return madeWith(t, n, func(int, *audit.Entry) {})
}

// madeWith is made with another look at each entry.
func madeWith(t testing.TB, n int, edit func(i int, e *audit.Entry)) (k *kept, verifying string) {
	t.Helper()
	signing, verifying, err := audit.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	k = &kept{}
	var tree audit.Tree
	for i := range n {
		e := audit.Entry{
			ID: int64(i + 1), Time: time.Date(2026, 1, 2, 3, 4, 5, i*int(time.Millisecond), time.UTC),
			Action: "get", Name: fmt.Sprint("KEY_", i%3), SecretID: int64(i % 5), Version: int64(i),
			ActorID: "root", Proof: "signed-in", Plugin: "demo", Client: "c", Source: "database",
			Allowed: i%2 == 0, Reason: "because", RequestID: "r", Remote: "127.0.0.1",
		}
		edit(i, &e)
		salt := [audit.SaltSize]byte{byte(i), 1}
		leaf := e.Leaf(salt)
		first := audit.FirstIndex(tree.Size())
		hashes := tree.Append(nil, leaf)
		k.entries = append(k.entries, audit.Stored{Entry: e, Salt: salt[:], Leaf: leaf[:]})
		for j, h := range hashes {
			k.hashes = append(k.hashes, audit.StoredHash{Index: first + int64(j), Hash: h[:]})
		}
		if i%10 == 6 || i == n-1 {
			head := audit.Head{Size: tree.Size(), Root: tree.Root(), Time: e.Time.Format(audit.TimeLayout)}
			signed, err := head.Sign(signing)
			if err != nil {
				t.Fatal(err)
			}
			k.heads = append(k.heads, audit.StoredHead{ID: int64(len(k.heads) + 1), Time: head.Time, Size: head.Size, Signed: signed})
		}
	}
	return k, verifying
}

func verify(t testing.TB, k *kept, verifying string, elsewhere ...string) audit.Report {
	t.Helper()
	report, err := audit.Verify(k, []string{verifying}, elsewhere...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The leaf is the hash of the same text for ever, also of times that no host writes.
func TestLeafOfAnyTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 5*3600+1800)
	for _, at := range []time.Time{
		{},
		time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC),
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 70_000_000, zone), // in UTC another year
		time.Date(0, 2, 29, 0, 0, 0, 0, time.UTC),
		time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(987, 10, 11, 12, 13, 14, 900_000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		e := audit.Entry{ID: 12, Time: at, Action: "get", Name: "API_KEY", SecretID: 3, Allowed: true, Remote: "::1"}
		salt := [audit.SaltSize]byte{1, 2, 3}
		text := "datasette-secrets log entry 1" + string(salt[:])
		for _, field := range []string{
			"12", at.UTC().Format(audit.TimeLayout), "get", "API_KEY", "3", "0", "", "", "", "", "", "true", "", "", "::1",
		} {
			text += string(binary.BigEndian.AppendUint32(nil, uint32(len(field)))) + field
		}
		if e.Leaf(salt) != tlog.RecordHash([]byte(text)) {
			t.Errorf("the leaf of %s is another", at)
		}
	}
}

func TestALogAsItWasWritten(t *testing.T) {
	t.Parallel()
	for n := range 70 {
		k, key := made(t, n)
		r := verify(t, k, key)
		if len(r.Bad) > 0 || r.Entries != int64(n) || r.Covered != int64(n) {
			t.Fatalf("%d entries: %+v", n, r)
		}
		// The library's own reading of the stored hashes agrees.
		root, err := tlog.TreeHash(int64(n), k.reader())
		if err != nil || root != r.Root {
			t.Fatalf("%d entries: root %v, want %v (%v)", n, r.Root, root, err)
		}
	}
}

func TestATreeIsResumed(t *testing.T) {
	t.Parallel()
	k, _ := made(t, 45)
	for n := range 45 {
		tree, err := audit.Resume(int64(n), k.reader())
		if err != nil {
			t.Fatal(err)
		}
		first := audit.FirstIndex(int64(n))
		for i, h := range tree.Append(nil, tlog.Hash(k.entries[n].Leaf)) {
			if tlog.Hash(k.hashes[first+int64(i)].Hash) != h {
				t.Fatalf("after %d entries hash %d differs", n, first+int64(i))
			}
		}
	}
}

func TestATreeOfImpossibleSizeIsRefused(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, math.MinInt64, math.MaxInt64} {
		if _, err := audit.Resume(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			return make([]tlog.Hash, len(indexes)), nil
		})); err == nil {
			t.Errorf("a tree of %d entries was resumed", size)
		}
	}
}

// Pruned entries prove as before.
func TestPrunedEntriesStayProven(t *testing.T) {
	t.Parallel()
	k, key := madeWith(t, 30, func(i int, e *audit.Entry) {
		if i == 20 {
			e.Action, e.Version, e.Allowed = audit.Prune, 12, true
		}
	})
	for i := range 12 {
		k.entries[i] = audit.Stored{Entry: audit.Entry{ID: int64(i + 1)}, Leaf: k.entries[i].Leaf, Pruned: true}
	}
	if r := verify(t, k, key); len(r.Bad) > 0 || r.Pruned != 12 {
		t.Errorf("%+v", r)
	}
	for i, hidden := range []int{12, 28} { // more than was said, and one in between
		c := k.clone()
		c.entries[hidden] = audit.Stored{Entry: audit.Entry{ID: int64(hidden + 1)}, Leaf: c.entries[hidden].Leaf, Pruned: true}
		if r := verify(t, c, key); len(r.Bad) != 1 || r.Bad[0].Entry != int64(hidden+1) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	k.entries[3].Leaf[0]++
	if r := verify(t, k, key); len(r.Bad) == 0 || r.Bad[0].Entry != 4 {
		t.Errorf("%+v", r)
	}
}

// The hashes of entries that no head covers may not be stored yet. Those that are
// stored count, and so do the entries.
func TestHashesThatFollowLater(t *testing.T) {
	t.Parallel()
	whole, key := made(t, 30)
	whole.heads = whole.heads[:3] // of 27 entries
	for n := range 31 {
		k := whole.clone()
		k.hashes = k.hashes[:audit.FirstIndex(int64(n))]
		r := verify(t, k, key)
		if n >= 27 && len(r.Bad) > 0 || n < 27 && (len(r.Bad) == 0 || r.Bad[0].Entry != int64(n+1)) {
			t.Errorf("hashes of %d entries: %v", n, r.Bad)
		}
		k.entries[28].Name = "OTHER"
		if r := verify(t, k, key); len(r.Bad) == 0 || n >= 27 && r.Bad[0].Entry != 29 {
			t.Errorf("hashes of %d entries, and an edited entry: %v", n, r.Bad)
		}
	}
	whole.hashes[audit.FirstIndex(28)].Hash[0] ^= 1
	if r := verify(t, whole, key); len(r.Bad) == 0 || r.Bad[0].Entry != 29 {
		t.Errorf("an edited hash after the head: %v", r.Bad)
	}
}

// tampering is one way to change a log. It returns the first entry that is
// wrong by then, or 0 when none in particular is.
type tampering func(r *rand.Rand, k *kept) (first int64)

func tamperings(remade *kept) map[string]tampering {
	return map[string]tampering{
		"a byte of a field": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			e := &k.entries[i].Entry
			fields := []func(){
				func() { e.Time = e.Time.Add(time.Millisecond) },
				func() { e.Action += "x" }, func() { e.Name = "K" + e.Name }, func() { e.SecretID++ },
				func() { e.Version++ }, func() { e.ActorID = "Root" }, func() { e.Proof = "" },
				func() { e.Plugin = "" }, func() { e.Client = "d" }, func() { e.Source = "env" },
				func() { e.Allowed = !e.Allowed }, func() { e.Reason = "becausf" },
				func() { e.RequestID = "" }, func() { e.Remote = "127.0.0.2" },
				// The same text, cut elsewhere.
				func() { e.Plugin, e.Client = e.Plugin+e.Client, "" },
			}
			fields[r.IntN(len(fields))]()
			return int64(i + 1)
		},
		"a byte of a salt": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries[i].Salt[r.IntN(audit.SaltSize)] ^= 1 << r.IntN(8)
			return int64(i + 1)
		},
		"a byte of a leaf": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries[i].Leaf[r.IntN(tlog.HashSize)] ^= 1 << r.IntN(8)
			return int64(i + 1)
		},
		"a field and its leaf": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			e := &k.entries[i]
			e.ActorID = "somebody else"
			leaf := e.Entry.Leaf([audit.SaltSize]byte(e.Salt))
			e.Leaf = leaf[:]
			return int64(i + 1)
		},
		"an entry is removed": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries = slices.Delete(k.entries, i, i+1)
			return int64(i + 1)
		},
		"an entry is removed, the others move up": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries) - 1)
			k.entries = slices.Delete(k.entries, i, i+1)
			for j := range k.entries {
				k.entries[j].ID = int64(j + 1)
			}
			return int64(i + 1)
		},
		"an entry is inserted": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries = slices.Insert(k.entries, i, k.entries[(i+1+r.IntN(len(k.entries)-1))%len(k.entries)])
			for j := range k.entries {
				k.entries[j].ID = int64(j + 1)
			}
			return int64(i + 1)
		},
		"two entries are swapped": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries) - 1)
			j := i + 1 + r.IntN(len(k.entries)-i-1)
			k.entries[i], k.entries[j] = k.entries[j], k.entries[i]
			k.entries[i].ID, k.entries[j].ID = int64(i+1), int64(j+1)
			return int64(i + 1)
		},
		"the end is cut off": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries = k.entries[:i]
			return int64(i + 1)
		},
		"the end is cut off, with its hashes": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries, k.hashes = k.entries[:i], k.hashes[:audit.FirstIndex(int64(i))]
			return int64(i + 1)
		},
		"a byte of a hash": func(r *rand.Rand, k *kept) int64 {
			k.hashes[r.IntN(len(k.hashes))].Hash[r.IntN(tlog.HashSize)] ^= 1 << r.IntN(8)
			return -1
		},
		"a hash is removed": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.hashes))
			k.hashes = slices.Delete(k.hashes, i, i+1)
			return -1
		},
		"a hash is added": func(r *rand.Rand, k *kept) int64 {
			k.hashes = append(k.hashes, audit.StoredHash{Index: int64(len(k.hashes)), Hash: make([]byte, tlog.HashSize)})
			return -1
		},
		"a byte of a head": func(r *rand.Rand, k *kept) int64 {
			h := &k.heads[r.IntN(len(k.heads))]
			text := []byte(h.Signed)
			text[r.IntN(len(text))] ^= 1 << r.IntN(7)
			h.Signed = string(text)
			return -1
		},
		"the time or size beside a head": func(r *rand.Rand, k *kept) int64 {
			h := &k.heads[r.IntN(len(k.heads))]
			if r.IntN(2) == 0 {
				h.Size++
			} else {
				h.Time = h.Time[1:]
			}
			return -1
		},
		"the fields of an entry are removed": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.entries))
			k.entries[i] = audit.Stored{Entry: audit.Entry{ID: int64(i + 1)}, Leaf: k.entries[i].Leaf, Pruned: true}
			return int64(i + 1)
		},
		"a head is removed, but not the last": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.heads) - 1)
			k.heads = slices.Delete(k.heads, i, i+1)
			return -1
		},
		"two heads are swapped": func(r *rand.Rand, k *kept) int64 {
			i := r.IntN(len(k.heads) - 1)
			k.heads[i].Signed, k.heads[i+1].Signed = k.heads[i+1].Signed, k.heads[i].Signed
			return -1
		},
		"everything is made again with another key": func(_ *rand.Rand, k *kept) int64 {
			*k = *remade
			return -1
		},
	}
}

func TestEveryTamperingIsFound(t *testing.T) {
	t.Parallel()
	k, key := made(t, 30)
	remade, _ := made(t, 30)
	r := rand.New(rand.NewPCG(1, 2))
	for name, tamper := range tamperings(remade) {
		for range 100 {
			changed := k.clone()
			first := tamper(r, changed)
			report := verify(t, changed, key)
			if len(report.Bad) == 0 {
				t.Fatalf("%s: nothing was found", name)
			}
			if first > 0 && report.Bad[0].Entry != first {
				t.Fatalf("%s: the first is entry %d, found %v", name, first, report.Bad)
			}
		}
	}
}

// A database that was put back to an older state is a log like any other; a
// head that was kept elsewhere tells.
func TestAnOlderLogIsFoundWithAKeptHead(t *testing.T) {
	t.Parallel()
	k, key := made(t, 60)
	newest := k.heads[len(k.heads)-1].Signed // of all 60
	older := k.clone()
	older.entries, older.hashes, older.heads = older.entries[:27], older.hashes[:audit.FirstIndex(27)], older.heads[:3]
	if r := verify(t, older, key); len(r.Bad) > 0 {
		t.Errorf("without the head: %+v", r.Bad)
	}
	if r := verify(t, older, key, newest); len(r.Bad) == 0 || r.Bad[0].Entry != 28 {
		t.Errorf("with the head: %+v", r.Bad)
	}
	if r := verify(t, k, key, k.heads[2].Signed); len(r.Bad) > 0 {
		t.Errorf("a log that grew from the kept head: %+v", r.Bad)
	}
	other, _ := made(t, 60)
	if r := verify(t, k, key, other.heads[1].Signed); len(r.Bad) == 0 {
		t.Error("the head of another log is taken")
	}
}

// Every entry is proven by the newest head, and no other entry is by its proof.
func TestProofs(t *testing.T) {
	t.Parallel()
	k, key := made(t, 21)
	signed := k.heads[len(k.heads)-1].Signed
	head, err := audit.OpenHead(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(23) {
		proof, err := audit.Proof(id, head, signed, k.reader())
		if id == 0 || id == 22 {
			if err == nil {
				t.Errorf("entry %d, which is not there, has a proof", id)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range k.entries {
			got, _, err := audit.CheckProof(proof, tlog.Hash(e.Leaf), key)
			if (err == nil) != (e.ID == id) || err == nil && got != id {
				t.Errorf("the proof of entry %d for entry %d: %d, %v", id, e.ID, got, err)
			}
		}
	}
}

// A proof is of an entry as it was written: whatever else it is made to say, it is
// not proven, also when its leaf is made anew.
func TestCheckEntry(t *testing.T) {
	t.Parallel()
	k, key := made(t, 21)
	_, otherKey := made(t, 1)
	proof, head := k.prove(t, 5, key)
	if got, err := audit.CheckEntry(proof, k.entries[4], key); err != nil || got != head {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := audit.CheckEntry(proof, k.entries[4], otherKey); err == nil {
		t.Error("it is proven by another key")
	}
	if _, err := audit.CheckEntry(proof, k.entries[5], key); err == nil {
		t.Error("another entry is proven")
	}
	edits := map[string]func(*audit.Stored){
		"id":      func(e *audit.Stored) { e.ID++ },
		"time":    func(e *audit.Stored) { e.Time = e.Time.Add(time.Millisecond) },
		"action":  func(e *audit.Stored) { e.Action = "put" },
		"name":    func(e *audit.Stored) { e.Name = "OTHER" },
		"secret":  func(e *audit.Stored) { e.SecretID++ },
		"version": func(e *audit.Stored) { e.Version++ },
		"actor":   func(e *audit.Stored) { e.ActorID = "" },
		"proof":   func(e *audit.Stored) { e.Proof = "asserted" },
		"plugin":  func(e *audit.Stored) { e.Plugin, e.Client = e.Client, e.Plugin },
		"source":  func(e *audit.Stored) { e.Source = "environment" },
		"allowed": func(e *audit.Stored) { e.Allowed = !e.Allowed },
		"reason":  func(e *audit.Stored) { e.Reason += " " },
		"request": func(e *audit.Stored) { e.RequestID = "" },
		"remote":  func(e *audit.Stored) { e.Remote = "" },
		"salt":    func(e *audit.Stored) { e.Salt = make([]byte, audit.SaltSize) },
		"no salt": func(e *audit.Stored) { e.Salt = nil },
		"pruned":  func(e *audit.Stored) { *e = audit.Stored{Entry: audit.Entry{ID: e.ID}, Leaf: e.Leaf, Pruned: true} },
		"no leaf": func(e *audit.Stored) { e.Leaf = nil },
	}
	for name, edit := range edits {
		e := k.entries[4]
		edit(&e)
		if _, err := audit.CheckEntry(proof, e, key); err == nil {
			t.Errorf("%s: it is proven", name)
		}
		if len(e.Salt) != audit.SaltSize || e.Leaf == nil {
			continue
		}
		leaf := e.Entry.Leaf([audit.SaltSize]byte(e.Salt))
		e.Leaf = leaf[:]
		if _, err := audit.CheckEntry(proof, e, key); err == nil {
			t.Errorf("%s: it is proven with its own leaf", name)
		}
	}
}

// prove returns the proof of an entry by the newest head.
func (k *kept) prove(t testing.TB, id int64, key string) (proof string, head audit.Head) {
	t.Helper()
	signed := k.heads[len(k.heads)-1].Signed
	head, err := audit.OpenHead(signed, key)
	if err == nil {
		proof, err = audit.Proof(id, head, signed, k.reader())
	}
	if err != nil {
		t.Fatal(err)
	}
	return proof, head
}

func (k *kept) reader() tlog.HashReaderFunc {
	return func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, i := range indexes {
			hashes = append(hashes, tlog.Hash(k.hashes[i].Hash))
		}
		return hashes, nil
	}
}

func FuzzCheckProof(f *testing.F) {
	k, key := made(f, 8)
	proof, _ := k.prove(f, 5, key)
	f.Add(proof)
	f.Add("c2sp.org/tlog-proof@v1\nindex 0\n\nx")
	f.Fuzz(func(t *testing.T, text string) {
		id, _, err := audit.CheckProof(text, tlog.Hash(k.entries[4].Leaf), key)
		if err == nil && id != 5 {
			t.Errorf("%q proves that it is entry %d", text, id)
		}
	})
}

func TestAKeyIsNotInAnError(t *testing.T) {
	t.Parallel()
	_, err := audit.Head{}.Sign("PRIVATE+KEY+hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func FuzzOpenHead(f *testing.F) {
	k, key := made(f, 8)
	f.Add(k.heads[0].Signed)
	f.Add("datasette-secrets/log\n1\nAAAA\n")
	f.Fuzz(func(t *testing.T, signed string) {
		head, err := audit.OpenHead(signed, key)
		if err != nil {
			return
		}
		verifier, _ := note.NewVerifier(key)
		if _, err := note.Open([]byte(signed), note.VerifierList(verifier)); err != nil || head.Size != 7 && head.Size != 8 {
			t.Errorf("taken: %q", signed)
		}
	})
}
