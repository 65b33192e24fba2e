package keymem_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/keymem"
)

func block(t *testing.T, text string) *keymem.Block {
	t.Helper()
	b, err := keymem.New(len(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Wipe)
	if err := b.Use(func(key []byte) error { copy(key, text); return nil }); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHolds(t *testing.T) {
	t.Parallel()
	b := block(t, "hunter2-hunter2-hunter2-hunter2-")
	err := b.Use(func(key []byte) error {
		if string(key) != "hunter2-hunter2-hunter2-hunter2-" || cap(key) < len(key) {
			t.Errorf("holds %d bytes", len(key))
		}
		return errors.New("mine")
	})
	if err == nil || err.Error() != "mine" {
		t.Errorf("the error is %v", err)
	}
	if b.Len() != 32 || b.Kind() == "" {
		t.Errorf("length %d, kind %q", b.Len(), b.Kind())
	}
}

func TestShowsNothing(t *testing.T) {
	t.Parallel()
	b := block(t, "hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if text := fmt.Sprintf(verb, b); text != "[keys]" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func TestWiped(t *testing.T) {
	t.Parallel()
	b := block(t, "hunter2")
	var seen []byte // kept, against the rule, to look at the memory afterwards
	if err := b.Use(func(key []byte) error { seen = key; return nil }); err != nil {
		t.Fatal(err)
	}
	b.Wipe()
	b.Wipe()
	if !bytes.Equal(seen, make([]byte, len("hunter2"))) {
		t.Error("the memory still holds the key")
	}
	if err := b.Use(func([]byte) error { return nil }); !errors.Is(err, keymem.ErrWiped) {
		t.Errorf("used after Wipe: %v", err)
	}
	runtime.KeepAlive(b)
}

// A Wipe waits for who uses the block, and whoever comes later is refused.
func TestWipeWhileUsed(t *testing.T) {
	t.Parallel()
	b := block(t, strings.Repeat("k", 32))
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for {
				err := b.Use(func(key []byte) error {
					if key[0] != 'k' {
						t.Error("wiped while in use")
					}
					return nil
				})
				if err != nil {
					return
				}
			}
		})
	}
	b.Wipe()
	users.Wait()
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want bool
	}{{"key", "key", true}, {"key", "kez", false}, {"key", "keys", false}} {
		got, err := block(t, test.a).Equal(block(t, test.b))
		if err != nil || got != test.want {
			t.Errorf("%q and %q: %t, %v", test.a, test.b, got, err)
		}
	}
	wiped := block(t, "key")
	wiped.Wipe()
	if _, err := block(t, "key").Equal(wiped); !errors.Is(err, keymem.ErrWiped) {
		t.Errorf("compared with a wiped block: %v", err)
	}
}

func TestNoBlock(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, -1} {
		if _, err := keymem.New(size); err == nil {
			t.Errorf("a block of %d bytes", size)
		}
	}
}

// The kernel itself says that the memory is locked or out of everybody's reach.
func TestKernelAgrees(t *testing.T) {
	t.Parallel()
	b := block(t, "hunter2")
	var address uintptr
	_ = b.Use(func(key []byte) error { address = uintptr(unsafe.Pointer(&key[0])); return nil })
	flags := flagsOf(t, address)
	switch b.Kind() {
	case keymem.Secret, keymem.Locked:
		if !strings.Contains(flags, " lo") || !strings.Contains(flags, " dd") {
			t.Errorf("memory of kind %s has the flags %s", b.Kind(), flags)
		}
	case keymem.Unlocked:
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur > 1<<20 {
			t.Errorf("not locked, with a limit of %d bytes, %v", limit.Cur, err)
		}
	}
}

// flagsOf returns the kernel's flags of the mapping that an address lies in.
func flagsOf(t *testing.T, address uintptr) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= address && address < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return flags
		}
	}
	t.Fatal("the block is in no mapping")
	return ""
}
