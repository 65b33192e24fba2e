package host

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/token"
)

// exposure is a file that must be its owner's alone and is not.
type exposure struct {
	what string
	path string
	mode os.FileMode
}

func (e exposure) String() string {
	return fmt.Sprintf("the %s %s can be read or written by other users (mode %04o)", e.what, e.path, e.mode)
}

// fix is the command that puts it right.
func (e exposure) fix() string { return "chmod go-rwx " + quoted(e.path) }

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// exposures looks at the modes of the database and of every file that the
// configuration has a key, passphrase or PIN in. Files that are not there are
// somebody else's concern.
func exposures(database string, loaded *config.Config) []exposure {
	var all []exposure
	look := func(what, path string) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			all = append(all, exposure{what, path, info.Mode().Perm()})
		}
	}
	if database != "" {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if len(all) == 0 { // SQLite gives them the mode of the database
				look("database", database+suffix)
			}
		}
	}
	for _, path := range loaded.SecretFiles() {
		look("key file", path)
	}
	for _, path := range pinFiles(loaded) {
		look("PIN file", path)
	}
	if path, _ := loaded.LiteralKey(); path != "" {
		look("configuration, which holds a key,", path)
	}
	return all
}

// pinFiles are those that the URIs of seals name as the source of a PIN.
func pinFiles(loaded *config.Config) (paths []string) {
	seals, err := loaded.Seals()
	if err != nil {
		return nil
	}
	for _, one := range seals {
		if one.Way != config.SealURI {
			continue
		}
		if uri, err := token.ParseURI(one.Text); err == nil && uri.PINFile != "" {
			paths = append(paths, uri.PINFile)
		}
	}
	return paths
}
