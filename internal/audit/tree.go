package audit

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the growing edge of the Merkle tree over a log's leaves: how many
// these are, and the hashes of the complete subtrees that make it up. Appending
// needs no other, so that no hash is read back from where all of them are
// stored.
//
// The zero Tree is that of an empty log, and a copy of a Tree grows by itself.
// It is not safe for concurrent use.
type Tree struct {
	size int64
	edge [63]tlog.Hash // the largest subtree first; as many as size has bits that are 1
}

// maxSize bounds the leaves of a tree, far beyond any log.
const maxSize = 1 << 62

// Resume returns the tree of a log that has size leaves already. read is asked
// once for the hashes of its edge.
func Resume(size int64, read tlog.HashReader) (Tree, error) {
	if size < 0 || size >= maxSize {
		return Tree{}, fmt.Errorf("reading the hashes of the log: it cannot have %d entries", size)
	}
	t := Tree{size: size}
	indexes := edge(size)
	if len(indexes) == 0 {
		return t, nil
	}
	hashes, err := read.ReadHashes(indexes)
	if err != nil {
		return Tree{}, err
	}
	if len(hashes) != len(indexes) {
		return Tree{}, fmt.Errorf("reading the hashes of the log: got %d of %d", len(hashes), len(indexes))
	}
	copy(t.edge[:], hashes)
	return t, nil
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf. It appends the hashes to store for it to hashes: those with
// the indexes from FirstIndex(size before) on.
func (t *Tree) Append(hashes []tlog.Hash, leaf tlog.Hash) []tlog.Hash {
	hashes = append(hashes, leaf)
	last, h := bits.OnesCount64(uint64(t.size)), leaf
	// Every 1 at the end of the size is a subtree that the leaf completes to one
	// of twice its size.
	for range bits.TrailingZeros64(^uint64(t.size)) {
		last--
		h = tlog.NodeHash(t.edge[last], h)
		hashes = append(hashes, h)
	}
	t.edge[last] = h
	t.size++
	return hashes
}

// Root is the hash of the whole tree, as RFC 6962, section 2.1, defines it.
func (t *Tree) Root() tlog.Hash {
	last := bits.OnesCount64(uint64(t.size)) - 1
	if last < 0 {
		return sha256.Sum256(nil)
	}
	root := t.edge[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(t.edge[i], root)
	}
	return root
}

// StoredWith is how many entries' hashes are stored together: when the number of
// entries reaches a multiple of it, and when a head is signed. Until then they can
// be computed from the leaves, and an act writes to one table less.
const StoredWith = 64

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
