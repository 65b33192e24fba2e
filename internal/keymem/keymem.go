// Package keymem keeps keys in memory that is not written anywhere: not to
// swap, not into a core dump and, where the kernel has memfd_secret, not
// readable even by the kernel's other parts. The memory is outside of Go's
// heap, so that no copy is left behind by the garbage collector or by a slice
// that grows, and it is overwritten when it is given up.
//
// What uses a key makes copies for a moment, such as the round keys of AES:
// they are outside of this package's reach. It makes the window small, not
// zero.
package keymem

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Kind is how well a block is protected.
type Kind string

// The kinds of memory, best first.
const (
	Secret   Kind = "memfd_secret" // only this process can reach it
	Locked   Kind = "mlock"        // never in swap, and not in core dumps
	Unlocked Kind = "unlocked"     // the kernel refused: the limit on locked memory is too small
)

// ErrWiped is the error of every use after Wipe.
var ErrWiped = errors.New("the keys have been taken from memory")

// Block is memory of a fixed size. It is safe for concurrent use. It shows
// nothing of what it holds.
type Block struct {
	kind Kind
	size int

	mu   sync.RWMutex
	data []byte // nil: wiped
}

// New returns a block of size bytes, all zero. A block that is forgotten
// without Wipe is wiped by the garbage collector.
func New(size int) (*Block, error) {
	data, kind, err := allocate(size)
	if err != nil {
		return nil, fmt.Errorf("allocating memory for keys: %w", err)
	}
	b := &Block{kind: kind, size: size, data: data}
	runtime.AddCleanup(b, release, data)
	return b, nil
}

// Kind says how the block is protected.
func (b *Block) Kind() Kind { return b.kind }

// Len is the size of the block in bytes.
func (b *Block) Len() int { return b.size }

// Use lets fn read and write the block's bytes, which it must not keep. The
// error is fn's, or ErrWiped. Calls of Use may run side by side: a fn that
// writes needs a block that nobody else knows yet.
func (b *Block) Use(fn func(key []byte) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	defer runtime.KeepAlive(b)
	if b.data == nil {
		return ErrWiped
	}
	return fn(b.data[:b.size])
}

// Equal reports whether two blocks hold the same bytes, in constant time.
func (b *Block) Equal(other *Block) (equal bool, err error) {
	err = b.Use(func(mine []byte) error {
		return other.Use(func(theirs []byte) error {
			equal = subtle.ConstantTimeCompare(mine, theirs) == 1
			return nil
		})
	})
	return equal, err
}

// Wipe overwrites the block when no Use runs any more. It may be called more
// than once.
func (b *Block) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.data) // the cleanup unmaps it
	b.data = nil
}

// Format writes a fixed text for every verb.
func (b *Block) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[keys]") }

// release gives a mapping back. It runs when nobody can know it any more.
func release(data []byte) {
	clear(data)
	_ = unix.Munmap(data) // fails only for what is no mapping
}

// allocate takes the best memory that the kernel gives.
func allocate(size int) ([]byte, Kind, error) {
	if size <= 0 {
		return nil, "", fmt.Errorf("%d bytes are no block", size)
	}
	if data, err := secretMemory(size); err == nil {
		return data, Secret, nil
	}
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, "", err
	}
	_ = unix.Madvise(data, unix.MADV_DONTDUMP) // core dumps are off as well
	if unix.Mlock(data) != nil {
		return data, Unlocked, nil
	}
	return data, Locked, nil
}

// secretMemory maps memory that the kernel takes out of its own map. A kernel
// before 5.14, or one that was told so, does not have it.
func secretMemory(size int) ([]byte, error) {
	fd, err := unix.MemfdSecret(unix.FD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
