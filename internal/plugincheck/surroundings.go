package plugincheck

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

// Surroundings guesses which folders a script has to read besides itself: its
// own if it has packages of Node beside it, and the virtual environment of its
// Python with the Python that this was made of. A program that is no script has
// none. What is below /usr is left out, because every plugin may read it.
func Surroundings(path string) []string {
	line, ok := firstLine(path)
	if !ok {
		return nil
	}
	var folders []string
	for folder := filepath.Dir(path); folder != "/" && folder != "."; folder = filepath.Dir(folder) {
		if isFolder(filepath.Join(folder, "node_modules")) {
			folders = append(folders, folder)
			break
		}
	}
	if words := strings.Fields(strings.TrimPrefix(line, "#!")); len(words) > 0 {
		folders = append(folders, pythonFolders(words[0])...)
	}
	return slices.DeleteFunc(folders, func(folder string) bool {
		return folder == "/" || folder == "/usr" || strings.HasPrefix(folder, "/usr/")
	})
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
	lines := bufio.NewScanner(io.LimitReader(f, maxVenvConfig))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if home := strings.TrimSpace(value); strings.TrimSpace(key) == "home" && filepath.IsAbs(home) {
			folders = append(folders, filepath.Dir(home))
		}
	}
	return folders
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
