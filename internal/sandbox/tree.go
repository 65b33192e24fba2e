package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits of the folder of a script that is one of several files.
const (
	maxTreeFiles = 20_000
	maxTreeSize  = 512 << 20 // bytes of all its files together
)

// tree is the folder of a script that is one of several files.
type tree struct {
	folder string
	own    string // the name of the script
	others string // how the names of other programs there begin, which are left out
	stamp  string // changes when the folder does
}

// treeOf looks at the folder of the script at path.
func treeOf(path, others string) (*tree, error) {
	t := &tree{folder: filepath.Dir(path), own: filepath.Base(path), others: others}
	var err error
	t.stamp, err = t.look()
	return t, err
}

// same tells whether the folder is what it was.
func (t *tree) same() bool {
	now, err := t.look()
	return err == nil && now == t.stamp
}

// look returns what tells the folder from any other state of it, without
// reading the files.
func (t *tree) look() (stamp string, err error) {
	sum := sha256.New()
	err = t.walk(func(name string, info fs.FileInfo) error {
		writeEntry(sum, name, info)
		if stat := info.Sys().(*syscall.Stat_t); !info.IsDir() {
			writeNumbers(sum, stat.Dev, stat.Ino, uint64(stat.Size), uint64(stat.Mtim.Sec), uint64(stat.Mtim.Nsec),
				uint64(stat.Ctim.Sec), uint64(stat.Ctim.Nsec))
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// hash is the SHA-256 of the names, modes and contents of all that is in the
// folder.
func (t *tree) hash() (string, error) {
	sum := sha256.New()
	err := t.walk(func(name string, info fs.FileInfo) error {
		writeEntry(sum, name, info)
		path := filepath.Join(t.folder, name)
		switch info.Mode().Type() {
		case 0:
			content, err := hashFile(path, info.Size())
			if err != nil {
				return fmt.Errorf("reading %s: %w", name, reason(err))
			}
			sum.Write(content)
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return fmt.Errorf("reading %s: %w", name, reason(err))
			}
			writeText(sum, target)
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// walk visits everything in the folder in a fixed order. It refuses what
// another user could write: that would be code of theirs.
func (t *tree) walk(visit func(name string, info fs.FileInfo) error) error {
	files, size := 0, int64(0)
	err := filepath.WalkDir(t.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return reason(err)
		}
		name, err := filepath.Rel(t.folder, path)
		if err != nil {
			return err
		}
		if t.isOther(name) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return reason(err)
		}
		if files++; info.Mode().IsRegular() {
			size += info.Size()
		}
		if files > maxTreeFiles || size > maxTreeSize {
			return fmt.Errorf("it holds more than %d files or %d MiB; a script of several files needs a folder for itself",
				maxTreeFiles, maxTreeSize>>20)
		}
		if err := onlyOurs(name, info); err != nil {
			return err
		}
		return visit(name, info)
	})
	if err != nil {
		return fmt.Errorf("looking at its folder: %w", err)
	}
	return nil
}

// isOther tells whether name is another program.
func (t *tree) isOther(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return t.others != "" && top != t.own && strings.HasPrefix(top, t.others)
}

// onlyOurs is an error if somebody but root and this user can write a file.
func onlyOurs(name string, info fs.FileInfo) error {
	if info.Mode().Type()&^(fs.ModeDir) != 0 { // no file to be read, and no folder
		return nil
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by other users; run: chmod -R go-w", name)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || (stat.Uid != 0 && int(stat.Uid) != os.Geteuid()) {
		return fmt.Errorf("%s belongs to another user", name)
	}
	return nil
}

// hashFile reads a file whose size is known.
func hashFile(path string, size int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := identify(f)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, size+1))
	if err != nil {
		return nil, err
	}
	if after, err := identify(f); err != nil || after != before || n != size {
		return nil, errors.Join(errChanged, err)
	}
	return sum.Sum(nil), nil
}

// writeEntry writes what every entry has, so that no two folders are written
// alike.
func writeEntry(sum hash.Hash, name string, info fs.FileInfo) {
	writeText(sum, name)
	writeNumbers(sum, uint64(info.Mode()))
}

func writeText(sum hash.Hash, text string) {
	writeNumbers(sum, uint64(len(text)))
	_, _ = io.WriteString(sum, text)
}

func writeNumbers(sum hash.Hash, numbers ...uint64) {
	for _, n := range numbers {
		sum.Write(binary.BigEndian.AppendUint64(nil, n))
	}
}
