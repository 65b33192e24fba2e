package plugincheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
	"github.com/datasette-secrets/datasette-secrets/internal/script"
)

// memory is what a plugin must do with.
const memory = 128 << 20 // bytes

// filePrefix begins the file names of plugins in a host's folder.
const filePrefix = "datasette-secrets-plugin-"

// longestBelow is the longest path of a socket in the kit's folder: that of a
// launch by the host that is killed, whose folder is in the kit's.
const longestBelow = len("/secrets-0123456789/p12/s/plugin0123456789")

// executable tells whether a host could start the file.
func executable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return bare(err)
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file; give the program itself, not a link or a folder")
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("it is not executable; run: chmod +x %s", path)
	}
	return nil
}

// name is what the program is told that it is called.
func (k *kit) name() string {
	return strings.TrimPrefix(filepath.Base(k.cfg.Path), filePrefix)
}

// script says how a script is run, by the rule of the host: when it may read its
// own folder, it is taken for one of several files.
func (k *kit) script() sandbox.Script {
	folder := filepath.Dir(k.cfg.Path) + "/"
	several := slices.ContainsFunc(k.cfg.Read, func(path string) bool {
		return strings.HasPrefix(folder, strings.TrimSuffix(path, "/")+"/")
	})
	return sandbox.Script{Folder: several, Others: filePrefix}
}

// policy is the sandbox of every launch: as strict as a host's usual one where
// the system can, and as strict as it can elsewhere.
func (k *kit) policy() sandbox.Policy {
	policy := sandbox.Policy{Mode: sandbox.Enforce, Kernel: *k.cfg.Kernel, Read: k.cfg.Read, Memory: memory}
	if policy.Refusal() != nil {
		policy.Mode = sandbox.BestEffort
	}
	return policy
}

// readingHint guesses what a script wants to read besides itself; empty if
// there is nothing to guess.
func (k *kit) readingHint() string {
	var missing []string
	for _, folder := range script.Folders(k.cfg.Path) {
		if !slices.Contains(k.cfg.Read, folder) {
			missing = append(missing, folder)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "; perhaps it needs --read " + strings.Join(missing, " --read ")
}

// bare is the reason in a path error, whose path the reader knows.
func bare(err error) error {
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
