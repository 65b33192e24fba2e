package audit

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Stored is an entry as it is kept. When its readable fields were pruned, only
// its ID and its leaf are left.
type Stored struct {
	Entry
	Salt   []byte
	Leaf   []byte
	Pruned bool
}

// errEdited is an entry that says something else than when it was written.
var errEdited = errors.New("it was edited: its fields are not those of its leaf")

// isWhole reports whether the fields are those that the leaf was made of.
func (s Stored) isWhole() bool {
	return len(s.Salt) == SaltSize && len(s.Leaf) == tlog.HashSize && s.Entry.Leaf([SaltSize]byte(s.Salt)) == tlog.Hash(s.Leaf)
}

// StoredHash is one hash of the tree as it is kept.
type StoredHash struct {
	Index int64
	Hash  []byte
}

// StoredHead is one signed head as it is kept, in the order in which they were
// made.
type StoredHead struct {
	ID     int64
	Time   string
	Size   int64
	Signed string
}

// Get is the action of most entries: a value was asked for, and given out if that
// was allowed.
const Get = "get"

// Begin is the action of a log's first entry. Its SecretID is the highest row of
// a secret that was there before the log.
const Begin = "begin"

// Prune is the action of the entry that says that older ones were pruned: up to
// the one that it has as its version.
const Prune = "prune"

// Page is a run of a log: some entries, and the hashes that are stored for them.
// The last page of a log has all the hashes that are left.
type Page struct {
	Entries []Stored
	Hashes  []StoredHash
}

// Source is a log where it is kept. Every sequence is in the order of its ids or
// indexes, and ends after its first error.
type Source interface {
	Pages() iter.Seq2[Page, error]
	Heads() iter.Seq2[StoredHead, error]
}

// Report is what became of a verification.
type Report struct {
	Entries int64     // that the log has
	Pruned  int64     // of which only the leaf is left
	Head    Head      // the newest one that was signed
	Covered int64     // entries up to that head
	Root    tlog.Hash // of all entries
	Bad     []Problem // empty: the log is as it was written
}

// Problem is one thing that is not as it was written.
type Problem struct {
	Entry int64  // the first entry that is known to be wrong; 0 if it is none in particular
	What  string // for people
}

// String is the problem in one line.
func (p Problem) String() string {
	if p.Entry == 0 {
		return p.What
	}
	return fmt.Sprintf("entry %d: %s", p.Entry, p.What)
}

// maxProblems is how many problems are told. The first is what counts.
const maxProblems = 20

// Verify reads a whole log and finds every way in which it is not what was
// written: an edited, missing, moved or added entry, a changed hash, a head
// that does not fit. kept are signed heads from elsewhere, which the log must
// have grown from. A head counts if one of the verifying keys signed it. Memory does not grow with the log.
//
// An error means that it could not be read, and says nothing about it.
func Verify(source Source, verifying []string, kept ...string) (Report, error) {
	v := verification{verifying: verifying, wanted: map[int64][]claim{}}
	if err := v.readHeads(source, kept); err != nil {
		return Report{}, err
	}
	if err := v.readEntries(source); err != nil {
		return Report{}, err
	}
	return v.report, nil
}

// claim is a head that says what the root of some size is.
type claim struct {
	head Head
	name string // of the head, for people
}

type verification struct {
	verifying []string
	report    Report
	tree      Tree
	wanted    map[int64][]claim
	largest   claim
	hashes    []StoredHash // that were read, and belong to entries from here on

	readable  bool  // an entry with its fields has been seen
	prunedTo  int64 // the last entry of which only the leaf is left
	prunedSay int64 // up to where entries say that others were pruned
}

func (v *verification) problem(entry int64, format string, args ...any) {
	if len(v.report.Bad) < maxProblems {
		v.report.Bad = append(v.report.Bad, Problem{Entry: entry, What: fmt.Sprintf(format, args...)})
	}
}

// readHeads collects what the heads claim.
func (v *verification) readHeads(source Source, kept []string) error {
	next, newest := int64(1), Head{Size: -1}
	for stored, err := range source.Heads() {
		if err != nil {
			return err
		}
		name := fmt.Sprintf("head %d", stored.ID)
		if stored.ID != next {
			v.problem(0, "head %d is missing", next)
		}
		next = stored.ID + 1
		head, err := OpenHead(stored.Signed, v.verifying...)
		if err != nil {
			v.problem(0, "%s: %v", name, err)
			continue
		}
		if head.Size != stored.Size || head.Time != stored.Time {
			v.problem(0, "%s: it is stored with another size or time than it was signed with", name)
		}
		if head.Size < newest.Size {
			v.problem(head.Size+1, "%s is of a shorter log than the one before it", name)
		}
		newest = head
		v.claim(claim{head, name})
	}
	if newest.Size >= 0 {
		v.report.Head, v.report.Covered = newest, newest.Size
	}
	for i, signed := range kept {
		name := fmt.Sprintf("kept head %d", i+1)
		head, err := OpenHead(signed, v.verifying...)
		if err != nil {
			v.problem(0, "%s: %v", name, err)
			continue
		}
		v.claim(claim{head, name})
	}
	return nil
}

func (v *verification) claim(c claim) {
	v.wanted[c.head.Size] = append(v.wanted[c.head.Size], c)
	if c.head.Size > v.largest.head.Size {
		v.largest = c
	}
}

// readEntries goes through entries and hashes side by side, and grows the tree
// with them.
func (v *verification) readEntries(source Source) error {
	v.compareRoot()
	for page, err := range source.Pages() {
		if err != nil {
			return err
		}
		v.hashes = append(v.hashes, page.Hashes...)
		for _, stored := range page.Entries {
			if done := v.entry(stored); done {
				return nil
			}
		}
	}
	if len(v.hashes) > 0 {
		v.problem(v.tree.Size()+1, "it is missing at the end: the tree has hashes for it")
	}
	if v.prunedTo > v.prunedSay {
		v.problem(v.prunedSay+1, "its fields were removed, and no entry says so")
	}
	if v.largest.head.Size > v.tree.Size() {
		v.problem(v.tree.Size()+1, "it is missing: %s is of %d entries", v.largest.name, v.largest.head.Size)
	}
	v.report.Root, v.report.Entries = v.tree.Root(), v.tree.Size()
	return nil
}

// entry checks one entry. done is true when nothing that follows can be
// checked.
func (v *verification) entry(stored Stored) (done bool) {
	id := v.tree.Size() + 1
	if stored.ID != id {
		v.problem(id, "it is missing; the next one is %d", stored.ID)
		return true
	}
	leaf, err := v.leaf(stored)
	if err != nil {
		v.problem(id, "%v", err)
	}
	first := FirstIndex(v.tree.Size())
	for i, want := range v.tree.Append(nil, leaf) {
		if done := v.compareHash(id, first+int64(i), want); done {
			return true
		}
	}
	v.compareRoot()
	return len(v.report.Bad) >= maxProblems
}

// compareHash checks what is stored under an index. The hashes of entries that no
// head covers may not be stored yet.
func (v *verification) compareHash(id, index int64, want tlog.Hash) (done bool) {
	if len(v.hashes) == 0 || v.hashes[0].Index > index {
		if id > v.report.Covered {
			return false
		}
		v.problem(id, "hash %d of the tree is missing", index)
		return true
	}
	got := v.hashes[0]
	v.hashes = v.hashes[1:]
	if got.Index < index {
		v.problem(id, "hash %d has no place in the tree", got.Index)
		return true
	}
	if string(got.Hash) != string(want[:]) {
		v.problem(id, "hash %d of the tree is not that of the entries up to here", index)
	}
	return false
}

// leaf is the leaf of an entry if it is the one that was stored with it.
func (v *verification) leaf(stored Stored) (tlog.Hash, error) {
	if len(stored.Leaf) != tlog.HashSize {
		return tlog.Hash{}, errors.New("its leaf is not a hash")
	}
	leaf := tlog.Hash(stored.Leaf)
	if stored.Pruned {
		if v.report.Pruned++; v.readable {
			return leaf, errors.New("its fields were removed; pruning would have removed those of all before it")
		}
		v.prunedTo = stored.ID
		return leaf, nil
	}
	v.readable = true
	if !stored.isWhole() {
		return leaf, errEdited
	}
	if stored.Action == Prune && stored.Allowed {
		v.prunedSay = max(v.prunedSay, stored.Version)
	}
	return leaf, nil
}

// compareRoot checks the heads of the size that the tree now has.
func (v *verification) compareRoot() {
	claims := v.wanted[v.tree.Size()]
	if len(claims) == 0 {
		return
	}
	root := v.tree.Root()
	var different []string
	for _, c := range claims {
		if c.head.Root != root {
			different = append(different, c.name)
		}
	}
	if len(different) > 0 {
		v.problem(v.tree.Size(), "the entries up to here are not those of %s", strings.Join(different, ", "))
	}
}
