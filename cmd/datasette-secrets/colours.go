package main

import (
	"cmp"
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
func (s system) colours() colours {
	if mind, _ := s.lookupEnv("NO_COLOR"); mind != "" {
		return false
	}
	file, ok := s.stdout.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// state paints a plugin's state: green is well, red is not, yellow may be.
func (c colours) state(state secrets.PluginState, text string) string {
	code := "33"
	switch state {
	case secrets.PluginReady:
		code = "32"
	case secrets.PluginBackoff, secrets.PluginFailed:
		code = "31"
	case secrets.PluginDisabled, secrets.PluginStopped:
		return text
	}
	if !c {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
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
