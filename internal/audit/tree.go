package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the growing edge of the Merkle tree over a log's leaves. Appending to
// it needs the few hashes of complete subtrees that end there, which it keeps,
// so that no hash is read back from where all of them are stored.
//
// The zero Tree is that of an empty log. It is not safe for concurrent use.
type Tree struct {
	size int64
	edge map[int64]tlog.Hash // by their stored index
}

// Resume returns the tree of a log that has size leaves already. read is asked
// once for the hashes of its edge.
func Resume(size int64, read tlog.HashReader) (Tree, error) {
	indexes := edge(size)
	if len(indexes) == 0 {
		return Tree{size: size}, nil
	}
	hashes, err := read.ReadHashes(indexes)
	if err != nil {
		return Tree{}, err
	}
	if len(hashes) != len(indexes) {
		return Tree{}, fmt.Errorf("reading the hashes of the log: got %d of %d", len(hashes), len(indexes))
	}
	t := Tree{size: size, edge: make(map[int64]tlog.Hash, len(indexes))}
	for i, index := range indexes {
		t.edge[index] = hashes[i]
	}
	return t, nil
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf and returns the hashes to store for it: those with the
// indexes from FirstIndex(size before) on.
func (t *Tree) Append(leaf tlog.Hash) ([]tlog.Hash, error) {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, t)
	if err != nil {
		return nil, err
	}
	first := FirstIndex(t.size)
	next := make(map[int64]tlog.Hash, len(t.edge)+1)
	for _, index := range edge(t.size + 1) {
		if index >= first {
			next[index] = hashes[index-first]
			continue
		}
		next[index] = t.edge[index]
	}
	t.size, t.edge = t.size+1, next
	return hashes, nil
}

// Root is the hash of the whole tree.
func (t *Tree) Root() (tlog.Hash, error) { return tlog.TreeHash(t.size, t) }

// ReadHashes implements tlog.HashReader for the edge.
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hash, ok := t.edge[index]
		if !ok {
			return nil, fmt.Errorf("the hash %d is not on the edge of a log of %d entries", index, t.size)
		}
		hashes[i] = hash
	}
	return hashes, nil
}

// FirstIndex is the index under which the first hash for the leaf number n,
// counted from 0, is stored.
func FirstIndex(n int64) int64 { return tlog.StoredHashIndex(0, n) }

// edge lists the stored indexes of the complete subtrees that make up a tree,
// the largest first: one for each bit of its size.
func edge(size int64) []int64 {
	var indexes []int64
	for start := int64(0); start < size; {
		level := bits.Len64(uint64(size-start)) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, start>>level))
		start += 1 << level
	}
	return indexes
}
