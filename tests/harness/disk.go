package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Disk stands between SQLite and the file of a database, and does what disks
// do: it forgets what was not synced when power fails, and refuses to write.
// See tests/testdata/diskshim.
type Disk struct {
	Env   []string // for the host
	file  string
	fault string
}

// NewDisk returns a disk for the database at file, in a folder of its own.
func NewDisk(t testing.TB, file string) *Disk {
	t.Helper()
	d := &Disk{file: file, fault: filepath.Join(t.TempDir(), "fault")}
	d.Env = []string{"LD_PRELOAD=" + diskShim(t), "DISK_FILE=" + file, "DISK_FAULT=" + d.fault}
	return d
}

// diskShim builds the shim, once for each test process.
func diskShim(t testing.TB) string {
	t.Helper()
	buildMutex.Lock()
	defer buildMutex.Unlock()
	const folder = "tests/testdata/diskshim"
	if path, ok := built[folder]; ok {
		return path
	}
	path := filepath.Join(Root(), "build", "test", fmt.Sprint(os.Getpid()), "disk.so")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command("cc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", path, filepath.Join(Root(), folder, "shim.c"), "-ldl", "-lpthread")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("building the shim of the disk: %v\n%s", err, out)
	}
	built[folder] = path
	return path
}

// Forgetful makes the disk remember what a power cut would take back.
func (d *Disk) Forgetful() *Disk {
	d.Env = append(d.Env, "DISK_UNDO=1")
	return d
}

// Fail lets writing fail with ENOSPC, EROFS or EIO, or syncing with SYNC; an
// empty word lets it work again.
func (d *Disk) Fail(t testing.TB, word string) {
	t.Helper()
	err := os.Remove(d.fault)
	if word != "" {
		err = os.WriteFile(d.fault, []byte(word), 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// change is one change of a file that was not synced.
type change struct {
	truncates     bool
	offset        int64
	size          int64 // of the file before
	before, after []byte
}

// PowerCut makes of the files what a disk without power may keep: all that was
// synced and, of what was written later, those changes for which keep says so.
// Nothing has them open.
func (d *Disk) PowerCut(t testing.TB, keep func() bool) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-journal"} {
		path := d.file + end
		made, gone := exists(path+".new"), exists(path+".gone")
		d.forget(t, path, path+".undo", keep)
		if made && !keep() {
			remove(t, path)
		}
		if gone {
			d.forget(t, path+".gone", path+".gone.undo", keep)
			if !exists(path) && !keep() {
				if err := os.Rename(path+".gone", path); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, mark := range []string{".new", ".gone", ".undo", ".gone.undo"} {
			remove(t, path+mark)
		}
	}
	remove(t, d.file+"-shm") // memory, not a file
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// forget takes back the changes of one file, and makes those again that are
// kept.
func (d *Disk) forget(t testing.TB, path, log string, keep func() bool) {
	t.Helper()
	changes := readChanges(t, log)
	if len(changes) == 0 || !exists(path) {
		return
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	must := func(_ int, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := len(changes) - 1; i >= 0; i-- {
		must(0, file.Truncate(changes[i].size))
		must(file.WriteAt(changes[i].before, changes[i].offset))
	}
	for _, c := range changes {
		if !keep() {
			continue
		}
		if c.truncates {
			must(0, file.Truncate(c.offset))
			continue
		}
		must(file.WriteAt(c.after, c.offset))
	}
}

// readChanges reads what the shim wrote down. The last record may be cut off.
func readChanges(t testing.TB, log string) (changes []change) {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for r := bytes.NewReader(data); ; {
		var head struct{ Kind, Offset, OldSize, OldLength, NewLength uint64 }
		if binary.Read(r, binary.NativeEndian, &head) != nil {
			return changes
		}
		c := change{
			truncates: head.Kind == 1, offset: int64(head.Offset), size: int64(head.OldSize),
			before: make([]byte, head.OldLength), after: make([]byte, head.NewLength),
		}
		if _, err := io.ReadFull(r, c.before); err != nil {
			return changes
		}
		if _, err := io.ReadFull(r, c.after); err != nil {
			return changes
		}
		changes = append(changes, c)
	}
}
