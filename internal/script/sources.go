package script

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxSources is how many files of a project are looked at.
const maxSources = 2000

// Mark is what changes when a source of a project does.
type Mark struct {
	files  int
	size   int64
	newest time.Time
}

// Look looks at the sources in the folder of a project: what is written in the
// languages that scripts are, not what is installed or hidden. The Mark of a
// folder without any, or of no folder, is the zero one.
func Look(folder string) (m Mark) {
	if folder == "" {
		return Mark{}
	}
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone, and so is what it held
		}
		if entry.IsDir() {
			if path != folder && installed(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !isSource(entry.Name()) {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			m.files++
			m.size += info.Size()
			if info.ModTime().After(m.newest) {
				m.newest = info.ModTime()
			}
		}
		if m.files == maxSources {
			return fs.SkipAll
		}
		return nil
	})
	return m
}

// installed tells whether a folder holds what an author did not write.
func installed(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" || name == "venv"
}

func isSource(name string) bool {
	return !strings.HasPrefix(name, ".") &&
		slices.Contains([]string{".js", ".mjs", ".cjs", ".json", ".py"}, filepath.Ext(name))
}
