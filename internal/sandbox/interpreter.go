package sandbox

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	maxFirstLine = 256 // bytes of the first line that the kernel reads
	maxDepth     = 4   // how many scripts may interpret each other
)

// Path is where programs look for others.
const Path = "/usr/local/bin:/usr/bin:/bin"

// alsoExecuted names the files that the kernel executes on the way to f: the
// loader of a binary; the interpreter of a script and, for env, the program
// that env looks for; and theirs.
func alsoExecuted(f io.ReaderAt) []string {
	var all []string
	next := executedBy(f)
	for range maxDepth {
		current := next
		next = nil
		for _, path := range current {
			if !isExecutable(path) {
				continue // or a first line could name any file, to have it readable
			}
			all = append(all, path)
			if opened, err := os.Open(path); err == nil {
				next = append(next, executedBy(opened)...)
				_ = opened.Close()
			}
		}
	}
	return all
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// executedBy is alsoExecuted for one step.
func executedBy(f io.ReaderAt) []string {
	if isScript(f) {
		return interpreters(f)
	}
	binary, err := elf.NewFile(f)
	if err != nil {
		return nil
	}
	for _, part := range binary.Progs {
		if part.Type != elf.PT_INTERP {
			continue
		}
		path, err := io.ReadAll(io.LimitReader(part.Open(), 4096))
		if err != nil {
			return nil
		}
		return []string{string(bytes.TrimRight(path, "\x00"))}
	}
	return nil
}

// interpreters reads the first line of a script.
func interpreters(f io.ReaderAt) []string {
	line := make([]byte, maxFirstLine)
	n, _ := f.ReadAt(line, 0)
	first, _, _ := strings.Cut(string(line[:n]), "\n")
	words := strings.Fields(strings.TrimPrefix(first, "#!"))
	if len(words) == 0 {
		return nil
	}
	found := words[:1]
	if filepath.Base(words[0]) != "env" {
		return found
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		return append(found, lookUp(word)...)
	}
	return found
}

// lookUp finds a program as env does.
func lookUp(name string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	for _, folder := range filepath.SplitList(Path) {
		if path := filepath.Join(folder, name); isExecutable(path) {
			return []string{path}
		}
	}
	return nil
}
