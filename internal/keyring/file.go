package keyring

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// maxKeyFile is the largest key file, in bytes.
const maxKeyFile = maxKeys * 100

// A key file holds keys, one in a line, the encrypting one first. With one key
// in it, it is what Python's datasette-secrets reads as well; with several,
// Python's cryptography takes the first.

// CreateFile makes a file with a key that only its owner may read. It never
// replaces one.
func CreateFile(path string, key secrets.Value) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a key file: %w", err)
	}
	err = errors.Join(f.Chmod(0o600), writeAll(f, []string{key.Reveal()}), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("writing the key file %s: %w", path, err), os.Remove(path))
	}
	return syncFolder(filepath.Dir(path))
}

// Fill returns a function for New that writes this key.
func Fill(key secrets.Value) func(into []byte) error {
	return func(into []byte) error {
		if err := Decode(key.Reveal(), into); err != nil {
			return fmt.Errorf("%w: the new key %w", secrets.ErrInvalid, err)
		}
		return nil
	}
}

// AddToFile puts a key in front of those of a key file, which must be those of
// ring.
func AddToFile(path string, key secrets.Value, ring *Keyring) error {
	if err := Fill(key)(make([]byte, keyLen)); err != nil {
		return err
	}
	return edit(path, ring, func(keys []string) ([]string, error) {
		if len(keys) >= maxKeys {
			return nil, fmt.Errorf("%w: the file holds %d keys already; retire some", secrets.ErrInvalid, len(keys))
		}
		return append([]string{strings.TrimSpace(key.Reveal())}, keys...), nil
	})
}

// DropFromFile takes the key of that name out of a key file, whose keys must be
// those of ring.
func DropFromFile(path, name string, ring *Keyring) error {
	return edit(path, ring, func(keys []string) ([]string, error) {
		i := slices.Index(ring.names, name)
		if i < 0 || len(keys) == 1 {
			return nil, fmt.Errorf("%w: the file cannot do without the key named %q", secrets.ErrInvalid, name)
		}
		return slices.Delete(slices.Clone(keys), i, i+1), nil
	})
}

// edit replaces the keys of a file at once: whoever reads it meanwhile reads
// the old or the new ones. Who may read the file stays as it is.
func edit(path string, ring *Keyring, change func(keys []string) ([]string, error)) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return fmt.Errorf("changing the key file: %w", err)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	keys, info, err := readFile(path)
	if err != nil {
		return err
	}
	now, err := Parse(strings.Join(keys, "\n"))
	if err != nil {
		return err
	}
	if !now.Equal(ring) {
		return fmt.Errorf("%w: the key file %s was changed by somebody else at the same time; nothing was done, try again", secrets.ErrUnavailable, path)
	}
	if keys, err = change(keys); err != nil {
		return err
	}
	if err := replace(path, keys, info); err != nil {
		return fmt.Errorf("changing the key file %s: %w; if it cannot be written here, change it where it comes from", path, err)
	}
	return nil
}

func readFile(path string) (keys []string, info os.FileInfo, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key file: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, fmt.Errorf("reading the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: %s is not a regular file", secrets.ErrInvalid, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	defer clear(text)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, nil, fmt.Errorf("%w: %s is too large for a key file", secrets.ErrInvalid, path)
	}
	for _, line := range lines(string(text)) {
		keys = append(keys, line.(string))
	}
	return keys, info, nil
}

// replace writes a new file beside the old one and puts it in its place. What
// an interrupted replace left behind is removed.
func replace(path string, keys []string, old os.FileInfo) error {
	beside := path + ".new"
	if err := os.Remove(beside); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(keepOwner(f, old), writeAll(f, keys), f.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return syncFolder(filepath.Dir(path))
}

// keepOwner gives a new file the owner, group and mode of the old one: the host
// may run as another user than whoever changes its keys.
func keepOwner(f *os.File, old os.FileInfo) error {
	if stat, ok := old.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return fmt.Errorf("giving the new file the owner of the old one: %w", err)
		}
	}
	return f.Chmod(old.Mode().Perm())
}

func writeAll(f *os.File, keys []string) error {
	_, err := f.WriteString(strings.Join(keys, "\n") + "\n")
	return errors.Join(err, f.Sync())
}

// lockFolder keeps other edits of key files in a folder out.
func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the folder of the key file: %w", err)
	}
	return func() { f.Close() }, nil
}

// syncFolder makes the names in a folder last.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("making a change of the folder %s last: %w", folder, err)
	}
	return nil
}
