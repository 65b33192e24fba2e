package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxNote  = 4096 // bytes
	attempts = 10   // to put a note where others are coming and going
)

// claim puts a note at path and holds the lock on it, which closing the file
// gives up. It is ErrTaken while somebody else holds it.
func claim(path string, n note) (*os.File, error) {
	for range attempts {
		if err := clear(path); err != nil {
			return nil, err
		}
		file, err := publish(path, n)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, ErrTaken
}

// clear removes the note of a host that is dead.
func clear(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if err := lock(file); err != nil {
		return err
	}
	if !lies(file, path) {
		return nil // another host was faster; publish will see
	}
	return os.Remove(path)
}

// publish puts a note at path whole, locked and readable by this user only. It
// is fs.ErrExist if there is one.
func publish(path string, n note) (*os.File, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	err = lock(file)
	if err == nil {
		_, err = file.Write(append(text, '\n'))
	}
	if err == nil {
		err = os.Link(file.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// withdraw removes the note at path, if it still is this one, and gives up the
// lock.
func withdraw(file *os.File, path string) error {
	var err error
	if lies(file, path) {
		err = os.Remove(path)
	}
	return errors.Join(err, file.Close())
}

func lock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrTaken
	}
	return err
}

// lies reports whether the open file is the one at path.
func lies(file *os.File, path string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(open, there)
}

// read returns the note about a database, and the user whose host wrote it. A
// note that somebody else may have written is refused: a command tells the host
// what is not for others.
func read(database string) (n note, owner int, err error) {
	path, err := notePath(database)
	if errors.Is(err, fs.ErrNotExist) {
		return note{}, 0, ErrNoHost
	}
	if err != nil {
		return note{}, 0, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return note{}, 0, ErrNoHost
	}
	if err != nil {
		return note{}, 0, fmt.Errorf("finding the host of the database: %w; run the command as the host's user", err)
	}
	defer file.Close()
	owner, err = trusted(file, database)
	if err != nil {
		return note{}, 0, fmt.Errorf("finding the host of the database: %s %w; remove it if no host runs", path, err)
	}
	n, err = parse(file)
	if err != nil {
		return note{}, 0, fmt.Errorf("finding the host of the database: %s cannot be read; remove it if no host runs: %w", path, err)
	}
	return n, owner, nil
}

// trusted returns the owner of a note, who must be this user or that of the
// database, and the only one who can read or write it.
func trusted(file *os.File, database string) (owner int, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	of, err := os.Stat(database)
	if err != nil {
		return 0, err
	}
	mine, ok := info.Sys().(*syscall.Stat_t)
	theirs, ok2 := of.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || !info.Mode().IsRegular() || (int(mine.Uid) != os.Geteuid() && mine.Uid != theirs.Uid) {
		return 0, errors.New("belongs to another user")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return 0, errors.New("is open to other users")
	}
	return int(mine.Uid), nil
}

func parse(r io.Reader) (note, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxNote))
	if err != nil {
		return note{}, err
	}
	var n note
	if err := json.Unmarshal(text, &n); err != nil {
		return note{}, err
	}
	if !filepath.IsAbs(n.Socket) || len(n.Token) != tokenDigits {
		return note{}, errors.New("it is not a note of a host")
	}
	return n, nil
}
