package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// errNoTerminal: there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask at")

// maxTyped bounds a typed line, in bytes.
const maxTyped = 4096

// terminal is the terminal that a person sits at, whatever standard input and
// output are.
type terminal struct {
	file  *os.File
	lines *bufio.Reader
}

func openTerminal() (*terminal, error) {
	file, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errNoTerminal
	}
	return &terminal{file, bufio.NewReaderSize(io.LimitReader(file, 1<<20), maxTyped)}, nil
}

// close gives the terminal back.
func (t *terminal) close() { t.file.Close() }

// askHidden asks for a line that the terminal does not show. The terminal is
// as it was before, also when ctx ends first.
func (t *terminal) askHidden(ctx context.Context, prompt string) (secrets.Value, error) {
	fd := int(t.file.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return secrets.Value{}, errNoTerminal
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &hidden); err != nil { // what was typed before is dropped
		return secrets.Value{}, fmt.Errorf("hiding what is typed: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETSF, before)
		fmt.Fprintln(t.file)
	}()
	fmt.Fprint(t.file, prompt)
	line, err := t.readLine(ctx)
	if err != nil {
		return secrets.Value{}, err
	}
	if line == "" {
		return secrets.Value{}, fmt.Errorf("%w: nothing was typed", secrets.ErrInvalid)
	}
	return secrets.NewValue(line), nil
}

func (t *terminal) readLine(ctx context.Context) (string, error) {
	type result struct {
		line []byte
		err  error
	}
	typed := make(chan result, 1)
	go func() {
		line, err := t.lines.ReadSlice('\n')
		typed <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-typed:
		if errors.Is(r.err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("%w: more than %d bytes were typed", secrets.ErrInvalid, maxTyped)
		}
		if r.err != nil {
			return "", fmt.Errorf("reading what is typed: %w", r.err)
		}
		line := strings.TrimRight(string(r.line), "\r\n")
		clear(r.line)
		return line, nil
	}
}

// askPassphrase asks for a passphrase, twice if it is a new one.
func askPassphrase(ctx context.Context, prompt string, isNew bool) (secrets.Value, error) {
	t, err := openTerminal()
	if err != nil {
		return secrets.Value{}, err
	}
	defer t.close()
	first, err := t.askHidden(ctx, prompt+": ")
	if err != nil || !isNew {
		return first, err
	}
	second, err := t.askHidden(ctx, "The same again: ")
	if err != nil {
		return secrets.Value{}, err
	}
	if first.Reveal() != second.Reveal() {
		return secrets.Value{}, fmt.Errorf("%w: the two passphrases differ", secrets.ErrInvalid)
	}
	return first, nil
}

// confirm asks the operator to type a word, on standard input.
func confirm(sys system, question, word string) error {
	fmt.Fprintf(sys.stderr, "%s\nType %s to go on: ", question, word)
	typed, err := bufio.NewReader(io.LimitReader(sys.stdin, maxTyped)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the confirmation: %w", err)
	}
	if strings.TrimSpace(typed) != word {
		return fmt.Errorf("%w: not confirmed; nothing was done", secrets.ErrInvalid)
	}
	return nil
}

// asciiWriter writes JSON with only ASCII in it, as Python does: JSON itself lets
// pass characters that act on a terminal. Each Write has to be whole characters.
type asciiWriter struct{ w io.Writer }

// Write implements io.Writer.
func (a asciiWriter) Write(data []byte) (int, error) {
	var b bytes.Buffer
	for _, r := range string(data) {
		switch {
		case r < 0x7f:
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	if _, err := a.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(data), nil
}
