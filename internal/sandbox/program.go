package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is a copy of an executable file that nobody can change any more,
// with the hash of what it holds. What is executed is the copy, so that it is
// what was hashed, and the file may be replaced while the program runs.
//
// A binary is copied into sealed memory. The interpreter of a script opens the
// script by its name, for which memory is of no use: a script is copied into a
// folder that is named after its hash, and hashed again before each start. So
// is a binary where the kernel does not execute memory (vm.memfd_noexec). A
// script that belongs to several files is not copied, because it would not find
// them; see Script.
type Program struct {
	// Hash is the SHA-256 of the program, in hexadecimal: of its file, or of
	// everything in the folder of a script that is one of several files.
	Hash string

	name    string // what it is told that it is called: its path
	id      identity
	memory  *os.File // sealed, or nil
	stored  string   // path of the private copy, or empty
	place   string   // path of a script that runs where it is, or empty
	tree    *tree    // its folder, if that belongs to it
	execute []string // what must be executed as well: interpreter, loader
}

// identity is what changes when a file does.
type identity struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// Mark tells one file from another that takes its name, without reading it.
// Marks are compared with ==. Giving a file another mode or one more name does
// not change its mark.
type Mark struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

func (id identity) mark() Mark { return Mark{dev: id.dev, ino: id.ino, size: id.size, mtime: id.mtime} }

// Look returns the mark of the file that is at path now.
func Look(path string) (Mark, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Mark{}, fmt.Errorf("looking at its file: %w", reason(err))
	}
	defer f.Close()
	id, err := identify(f)
	return id.mark(), err
}

// Mark is that of the file which was copied.
func (p *Program) Mark() Mark { return p.id.mark() }

// errChanged: somebody writes the file.
var errChanged = errors.New("its file changed while it was read; it is tried again")

// Script is how a program is taken that turns out to be a script. The zero
// Script is one file, and copied.
type Script struct {
	// InPlace is a script that runs where it is. Whoever may write it must be
	// trusted.
	InPlace bool

	// Folder is a script that runs where it is because it is one of several
	// files: all that is in its folder is hashed with it.
	Folder bool

	// Others is how the names of other programs in that folder begin. They are
	// left out. Empty if there are none.
	Others string
}

// Seal copies the executable file at path. The folder store is for copies that
// cannot be in memory; only this user may be able to write it.
func Seal(path, store string, script Script) (*Program, error) {
	return seal(path, store, script, intoMemory)
}

// seal is Seal with the way into memory as an argument.
func seal(path, store string, how Script, intoMemory func(string, io.Reader) (*os.File, error)) (*Program, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading its file: %w", reason(err))
	}
	defer f.Close()
	p := &Program{name: path}
	if p.id, err = identify(f); err != nil {
		return nil, err
	}
	hash := sha256.New()
	content := io.TeeReader(f, hash)
	switch script := isScript(f); {
	case script && (how.InPlace || how.Folder):
		p.place = path
		_, err = io.Copy(io.Discard, content)
	case !script:
		p.memory, err = intoMemory(filepath.Base(path), content)
	}
	if p.place == "" && p.memory == nil && (err == nil || errors.Is(err, unix.EACCES)) {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			hash.Reset()
			p.stored, err = intoStore(store, filepath.Base(path), content)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("copying its file: %w", reason(err))
	}
	p.Hash = hex.EncodeToString(hash.Sum(nil))
	// A new link to the file or another mode change no more than its ctime.
	if now, err := identify(f); err != nil || now.size != p.id.size || now.mtime != p.id.mtime {
		return nil, errors.Join(errChanged, p.Close())
	}
	if err := p.settle(store); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if p.place != "" && how.Folder {
		if err := p.takeFolder(how.Others); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// takeFolder hashes the folder of a script.
func (p *Program) takeFolder(others string) (err error) {
	if p.tree, err = treeOf(p.place, others); err != nil {
		return err
	}
	if p.Hash, err = p.tree.hash(); err != nil {
		return err
	}
	if !p.tree.same() {
		return errChanged
	}
	return nil
}

// settle gives a stored copy its final name and finds what else the program
// needs to be executed.
func (p *Program) settle(store string) error {
	if p.stored != "" {
		folder := filepath.Join(store, "sha256-"+p.Hash)
		final := filepath.Join(folder, filepath.Base(p.stored))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("keeping its copy: %w", reason(err))
		}
		if err := os.Rename(p.stored, final); err != nil {
			return fmt.Errorf("keeping its copy: %w", reason(err))
		}
		if err := os.Remove(filepath.Dir(p.stored)); err != nil {
			return fmt.Errorf("keeping its copy: %w", reason(err))
		}
		p.stored = final
		p.execute = append(p.execute, final)
	}
	if p.place != "" {
		p.execute = append(p.execute, p.place)
	}
	f, err := os.Open(p.runnable())
	if err != nil {
		return fmt.Errorf("reading its copy: %w", reason(err))
	}
	defer f.Close()
	p.execute = append(p.execute, alsoExecuted(f)...)
	return nil
}

// Fresh tells whether the program may be started again: the file at path is
// the one that was copied, a copy on disk still holds what it did, and so does
// the folder of a script of several files, as far as names, sizes and times tell.
func (p *Program) Fresh(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if now, err := identify(f); err != nil || now != p.id {
		return false
	}
	if p.tree != nil && !p.tree.same() {
		return false
	}
	return p.stored == "" || hashOf(p.stored) == p.Hash
}

// Close gives the copy in memory back; a stored one goes with its folder.
func (p *Program) Close() error {
	if p.memory == nil {
		return nil
	}
	return p.memory.Close()
}

// runnable is a path that leads to the copy, in this process and in one that
// it forks.
func (p *Program) runnable() string {
	if p.memory == nil {
		return p.onDisk()
	}
	return fmt.Sprintf("/proc/self/fd/%d", p.memory.Fd())
}

// onDisk is the path of what is executed, or nothing if it is in memory.
func (p *Program) onDisk() string {
	if p.place != "" {
		return p.place
	}
	return p.stored
}

func identify(f *os.File) (identity, error) {
	info, err := f.Stat()
	if err != nil {
		return identity{}, fmt.Errorf("looking at its file: %w", reason(err))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return identity{}, errors.New("its file is not a regular file")
	}
	return identity{
		dev: uint64(stat.Dev), ino: stat.Ino, size: stat.Size,
		mtime: unix.Timespec(stat.Mtim), ctime: unix.Timespec(stat.Ctim),
	}, nil
}

// isScript tells whether the file names its interpreter.
func isScript(f io.ReaderAt) bool {
	var start [2]byte
	_, err := f.ReadAt(start[:], 0)
	return err == nil && string(start[:]) == "#!"
}

// intoMemory copies into memory that can be executed and not be changed.
func intoMemory(name string, content io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := io.Copy(f, content); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// intoStore copies into a new folder below store.
func intoStore(store, name string, content io.Reader) (path string, err error) {
	if err := os.MkdirAll(store, 0o700); err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp(store, "new-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, name)
	// A process that is started meanwhile would hold the copy open for a moment,
	// in which it cannot be executed (https://go.dev/issue/22315).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, content)
	return path, errors.Join(err, f.Close())
}

func hashOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// reason is the reason in an error about a path, which the reader knows.
func reason(err error) error {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
