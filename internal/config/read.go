package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// maxFile is the largest configuration file, in bytes.
const maxFile = 4 << 20

var errNoInput = errors.New("there is no standard input")

// open opens a file for reading. Unlike os.Open it refuses a directory, whose
// error would otherwise come only with the first read.
func open(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, syscall.EISDIR
	}
	return f, nil
}

// cause is the reason of a failed open in the words of strerror, with the
// capital letter that Datasette's users know: "No such file or directory".
func cause(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := []rune(errno.Error())
	text[0] = unicode.ToUpper(text[0])
	return string(text)
}

// readTree reads a whole configuration; name is for the errors. An empty file
// is an empty configuration.
func readTree(name string, r io.Reader) (map[string]any, error) {
	data, err := readAll(r, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading config file %q: %w", name, err)
	}
	v, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("config file %q: %w", name, err)
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, fmt.Errorf("config file %q: should hold a mapping of names to values, not %s", name, kind(v))
}

// readAll reads r to its end, and fails when there are more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	if r == nil {
		return nil, errNoInput
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errTooLarge(limit)
	}
	return data, nil
}

func errTooLarge(limit int64) error {
	return fmt.Errorf("larger than %d MiB", limit>>20)
}

// universalNewlines turns CR LF and CR into LF, as Python does when it reads a
// text file.
func universalNewlines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}
