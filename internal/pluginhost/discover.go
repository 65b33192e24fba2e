package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// prefix is how the file of every plugin begins.
const prefix = "datasette-secrets-plugin-"

// pluginName is what may follow the prefix.
var pluginName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// hostName is the host's own block of the configuration, with the encryption
// key. A plugin of this name would be given it.
const hostName = "datasette-secrets"

// names returns the names of all plugins, in no order.
func (cfg Config) names() (names []string, err error) {
	if cfg.Dir != "" || len(cfg.Programs) == 0 {
		if names, err = discover(cfg.Dir, cfg.Log); err != nil {
			return nil, err
		}
	}
	for name := range cfg.Programs {
		if err := CheckName(name); err != nil {
			return nil, fmt.Errorf("%w: %w", secrets.ErrInvalid, err)
		}
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: the folder of plugins has another plugin called %s", secrets.ErrInvalid, name)
		}
		names = append(names, name)
	}
	return names, nil
}

// path is where the file of a plugin is.
func (cfg Config) path(name string) string {
	if path, given := cfg.Programs[name]; given {
		return path
	}
	return filepath.Join(cfg.Dir, prefix+name)
}

// NameOf is the name of the plugin in the file at path. The prefix may be left
// out of the file's name.
func NameOf(path string) string { return strings.TrimPrefix(filepath.Base(path), prefix) }

// discover returns the names of the plugins in dir. It looks at names and
// modes only; whether a file may be started is asked before each start, so
// that mending its mode is enough.
func discover(dir string, log *slog.Logger) ([]string, error) {
	if dir == "" {
		return nil, errors.New("no folder of plugins is given")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the folder of plugins %s does not exist", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the folder of plugins: %w", err)
	}
	var names []string
	for _, entry := range entries {
		name, found := strings.CutPrefix(entry.Name(), prefix)
		if !found || entry.IsDir() {
			continue
		}
		if reason := unfit(name, entry); reason != "" {
			log.Warn("a file in the folder of plugins is left out", "file", entry.Name(), "reason", reason)
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// CheckName tells whether a plugin may have this name, which is what follows
// the prefix in the name of its file.
func CheckName(name string) error {
	if !pluginName.MatchString(name) {
		return errors.New("a plugin's name must be 1 to 64 of A-Z a-z 0-9 _ . -")
	}
	if name == hostName {
		return errors.New("the name " + hostName + " is the host's own")
	}
	return nil
}

// unfit says why a file is no plugin, or nothing.
func unfit(name string, entry fs.DirEntry) string {
	if err := CheckName(name); err != nil {
		return err.Error()
	}
	info, err := entry.Info()
	if err != nil {
		return "it is gone"
	}
	if info.Mode().IsRegular() && info.Mode()&0o111 == 0 {
		return "it is not executable; chmod +x makes it a plugin"
	}
	return ""
}

// allowed tells whether the plugin at path may be started: whoever can write
// to the file or its folder could make the host run anything.
func allowed(path string) error {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("looking at the folder of plugins: %w", bare(err))
	}
	if err := ownedByUs("the folder of plugins", filepath.Dir(path), folder); err != nil {
		return err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("looking at the plugin's file: %w", bare(err))
	}
	if !file.Mode().IsRegular() {
		return errors.New("its file is not a regular file; put the program itself into the folder, not a link")
	}
	if file.Mode()&0o111 == 0 {
		return fmt.Errorf("its file is not executable; run: chmod +x %s", path)
	}
	return ownedByUs("its file", path, file)
}

// ownedByUs tells whether only root and the host's own user can write to path.
func ownedByUs(what, path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by other users; run: chmod go-w %s", what, path)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (owner.Uid != 0 && int(owner.Uid) != os.Geteuid()) {
		return fmt.Errorf("%s belongs to another user; run: chown %d %s", what, os.Geteuid(), path)
	}
	return nil
}

// bare is the reason in a path error, whose path the reader knows.
func bare(err error) error {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
