package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

// ErrNoFile is the class of Open's error when a file to attach does not exist.
var ErrNoFile = errors.New("file to attach does not exist")

// noFileError is a path that does not exist, told in the words of Datasette.
type noFileError string

func (e noFileError) Error() string {
	return fmt.Sprintf("Invalid value for '[FILES]...': Path '%s' does not exist.", string(e))
}

func (noFileError) Is(target error) bool { return target == ErrNoFile }

// databaseFile is an attached database. The host shows that it is there and
// may keep the secrets in it, but serves nothing of its contents.
type databaseFile struct {
	name      string // the file's name without its ending
	path      string
	immutable bool
}

// databaseFiles finds the databases to attach, and the folder of directory
// mode, if one is among the files.
func databaseFiles(ctx context.Context, cfg Config) (files []databaseFile, folder string, err error) {
	paths, folder, err := splitFolder(cfg.Files)
	if err != nil {
		return nil, "", err
	}
	for _, path := range paths {
		if err := require(ctx, path, cfg.Create); err != nil {
			return nil, "", err
		}
	}
	inFolder, err := databasesIn(folder)
	if err != nil {
		return nil, "", err
	}
	for _, path := range append(inFolder, paths...) {
		files = append(files, databaseFile{path: path})
	}
	for _, path := range cfg.Immutable {
		if err := require(ctx, path, false); err != nil {
			return nil, "", err
		}
		files = append(files, databaseFile{path: path, immutable: true})
	}
	return files, folder, name(ctx, files)
}

// splitFolder tells the one folder that may be given from the files.
func splitFolder(given []string) (files []string, folder string, err error) {
	for _, path := range given {
		info, err := os.Stat(path)
		switch {
		case err != nil || !info.IsDir():
			files = append(files, path)
		case folder != "":
			return nil, "", errors.New("Cannot pass multiple directories. Pass a single directory as config_dir.")
		default:
			folder = path
		}
	}
	return files, folder, nil
}

func databasesIn(folder string) ([]string, error) {
	if folder == "" {
		return nil, nil
	}
	var paths []string
	for _, ending := range []string{"db", "sqlite", "sqlite3"} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*."+ending))
		if err != nil {
			return nil, fmt.Errorf("looking for databases in %s: %w", folder, err)
		}
		paths = append(paths, found...)
	}
	return paths, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// require makes sure that a file is there, making it where that is asked for.
func require(ctx context.Context, path string, create bool) error {
	_, err := os.Stat(path)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attaching a database: %w", err)
	}
	if !create {
		return noFileError(path)
	}
	return db.Create(ctx, path)
}

// name gives every file its name, refuses a file that is given twice, and
// checks that each is a database.
func name(ctx context.Context, files []databaseFile) error {
	paths, names := map[string]string{}, map[string]bool{}
	for i := range files {
		path := files[i].path
		resolved, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("attaching a database: %w", err)
		}
		if resolved, err = filepath.Abs(resolved); err != nil {
			return fmt.Errorf("attaching a database: %w", err)
		}
		if first, twice := paths[resolved]; twice {
			return fmt.Errorf("Duplicate database file: '%s' and '%s' both refer to %s", first, path, resolved)
		}
		paths[resolved] = path
		stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		files[i].name = free(stem, names)
		names[files[i].name] = true
		if err := db.Check(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// free returns stem, or stem_2, stem_3, … if it is taken.
func free(stem string, taken map[string]bool) string {
	candidate := stem
	for n := 2; taken[candidate]; n++ {
		candidate = fmt.Sprintf("%s_%d", stem, n)
	}
	return candidate
}

// attached finds the database that the configuration says holds the secrets.
func attached(name string, files []databaseFile) (databaseFile, error) {
	var names []string
	for _, file := range files {
		if file.name == name && file.immutable {
			return databaseFile{}, fmt.Errorf("plugins.datasette-secrets.database: the database %q is attached with --immutable, so nothing can be stored in it; attach it without", name)
		}
		if file.name == name {
			return file, nil
		}
		names = append(names, file.name)
	}
	slices.Sort(names)
	known := "no database is attached"
	if len(names) > 0 {
		known = "attached are: " + strings.Join(names, ", ")
	}
	return databaseFile{}, fmt.Errorf("plugins.datasette-secrets.database: no database called %q is attached (%s); name its file on the command line, with --create if it does not exist yet", name, known)
}

func describe(files []databaseFile) []ui.Database {
	var all []ui.Database
	for _, file := range files {
		database := ui.Database{Name: file.name, Path: file.path, Write: !file.immutable}
		if info, err := os.Stat(file.path); err == nil {
			database.Size = info.Size()
		}
		all = append(all, database)
	}
	return all
}
