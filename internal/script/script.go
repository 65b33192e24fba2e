// Package script guesses what belongs to a plugin that is a script: the folders
// that its interpreter reads, which a sandbox has to grant, and the files whose
// change is one of the plugin.
package script

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxFirstLine  = 256     // bytes of the first line that the kernel reads
	maxVenvConfig = 4 << 10 // bytes
)

// Folders are those that a script reads besides itself: its project, with the
// packages of Node; the virtual environment of its Python, with the Python that
// it was made of. A program that is no script has none. What is below /usr is
// left out, because every plugin may read it.
func Folders(path string) []string {
	line, ok := firstLine(path)
	if !ok {
		return nil
	}
	var folders []string
	if project := Project(path); project != "" {
		folders = append(folders, project)
	}
	if words := strings.Fields(strings.TrimPrefix(line, "#!")); len(words) > 0 {
		folders = append(folders, pythonFolders(words[0])...)
	}
	return slices.DeleteFunc(folders, func(folder string) bool {
		return folder == "/" || folder == "/usr" || strings.HasPrefix(folder, "/usr/")
	})
}

// Project is the folder of the project that a script belongs to: one with a
// package.json or a pyproject.toml, no further up than the virtual environment
// that pip put the script into. It is empty if there is none.
func Project(path string) string {
	if _, ok := firstLine(path); !ok {
		return ""
	}
	folder := filepath.Dir(path)
	candidates := []string{folder, filepath.Dir(folder)}
	if isFile(filepath.Join(filepath.Dir(folder), "pyvenv.cfg")) {
		candidates = append(candidates, filepath.Dir(filepath.Dir(folder)))
	}
	for _, candidate := range candidates {
		if isFile(filepath.Join(candidate, "package.json")) || isFile(filepath.Join(candidate, "pyproject.toml")) {
			return candidate
		}
	}
	return ""
}

// firstLine is the line of a script that names its interpreter.
func firstLine(path string) (line string, script bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	line, _ = bufio.NewReader(io.LimitReader(f, maxFirstLine)).ReadString('\n')
	return strings.TrimSpace(line), strings.HasPrefix(line, "#!")
}

// pythonFolders are the environment of an interpreter and the installation
// that it was made of, as venv writes it down; none for any other interpreter.
func pythonFolders(interpreter string) []string {
	environment := filepath.Dir(filepath.Dir(interpreter))
	f, err := os.Open(filepath.Join(environment, "pyvenv.cfg"))
	if err != nil {
		return nil
	}
	defer f.Close()
	folders := []string{environment}
	if home := homeIn(f); home != "" {
		folders = append(folders, filepath.Dir(home))
	}
	return folders
}

// homeIn is the folder with the interpreter that a virtual environment was made
// of, as its configuration says; empty if it does not.
func homeIn(config io.Reader) string {
	lines := bufio.NewScanner(io.LimitReader(config, maxVenvConfig))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if home := strings.TrimSpace(value); strings.TrimSpace(key) == "home" && filepath.IsAbs(home) {
			return filepath.Clean(home)
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
