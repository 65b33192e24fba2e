package main

import (
	"cmp"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// colours are used on a terminal, and nowhere else.
type colours bool

// colours tells whether standard output is a terminal, of a person who does not
// mind colours.
func (s system) colours() colours { return s.coloursOn(s.stdout) }

// coloursOn is the same for other output.
func (s system) coloursOn(w io.Writer) colours {
	if mind, _ := s.lookupEnv("NO_COLOR"); mind != "" {
		return false
	}
	return colours(isTerminal(w))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// The colours, as terminals number them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

// paint is a text in a colour.
func (c colours) paint(colour, text string) string {
	if !c {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// state paints a plugin's state: green is well, red is not, yellow may be.
func (c colours) state(state secrets.PluginState, text string) string {
	switch state {
	case secrets.PluginReady:
		return c.paint(green, text)
	case secrets.PluginBackoff, secrets.PluginFailed:
		return c.paint(red, text)
	case secrets.PluginDisabled, secrets.PluginStopped:
		return text
	}
	return c.paint(yellow, text)
}

// writeAligned writes the rows of a table with columns as wide as they need. An
// empty cell is a dash. paint may colour a cell.
func writeAligned(b *strings.Builder, rows [][]string, paint func(row, column int, text string) string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for column, text := range row {
			widths[column] = max(widths[column], 1, utf8.RuneCountInString(text))
		}
	}
	for i, row := range rows {
		line := ""
		for column, text := range row {
			text = cmp.Or(text, "-")
			padding := strings.Repeat(" ", widths[column]-utf8.RuneCountInString(text)+2)
			line += paint(i, column, text) + padding
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
