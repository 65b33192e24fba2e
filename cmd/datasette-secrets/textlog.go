package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// textLog writes log lines for people: time, level, the plugin's name, the text
// and what comes with it.
//
//	15:04:05 INFO  weather  got the key  length=7
//
// Whatever the texts hold, an event is one line, and no text acts on a terminal.
type textLog struct {
	out     *textOutput
	colours colours
	layout  string     // of times
	least   slog.Level // of what is written
	talk    slog.Level // the same for what plugins say
	plugin  string     // empty for the host's own words
	attrs   string     // as they are written, with a space in front of each
	group   string     // of the attributes to come, with a dot at its end
}

// textOutput is what all parts of one log write to.
type textOutput struct {
	mu    sync.Mutex
	w     io.Writer
	width int // of the longest name so far
}

const hostName = "host"

// newTextLog writes what has a level of at least least. Times have no date on a
// terminal, where somebody watches.
func newTextLog(w io.Writer, c colours, least slog.Level) textLog {
	layout := time.DateTime
	if isTerminal(w) {
		layout = time.TimeOnly
	}
	return textLog{out: &textOutput{w: w, width: len("plugin")}, colours: c, layout: layout, least: least, talk: least}
}

// Enabled implements slog.Handler.
func (l textLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= l.least || l.plugin != "" && level >= l.talk
}

// WithAttrs implements slog.Handler.
func (l textLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		l = l.with(a)
	}
	return l
}

func (l textLog) with(a slog.Attr) textLog {
	value := a.Value.Resolve()
	switch {
	case a.Key == "plugin" && l.group == "":
		l.plugin = value.String()
	case value.Kind() == slog.KindGroup:
		outer := l.group
		if a.Key != "" && a.Key != "fields" { // in which the plugin's own are
			l.group += a.Key + "."
		}
		for _, inner := range value.Group() {
			l = l.with(inner)
		}
		l.group = outer
	case a.Key != "":
		l.attrs += " " + l.colours.paint(faint, plain(l.group+a.Key)+"=") + plain(value.String())
	}
	return l
}

// WithGroup implements slog.Handler.
func (l textLog) WithGroup(name string) slog.Handler {
	if name != "" {
		l.group += name + "."
	}
	return l
}

// Handle implements slog.Handler.
func (l textLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		l = l.with(a)
		return true
	})
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	name, colour := harmless(l.plugin), green
	if name == "" {
		name, colour = hostName, faint
	}
	l.out.width = max(l.out.width, len(name))
	_, err := fmt.Fprintf(l.out.w, "%s %s %s  %s%s\n",
		l.colours.paint(faint, r.Time.Format(l.layout)), l.level(r.Level),
		l.colours.paint(colour, fmt.Sprintf("%-*s", l.out.width, name)), harmless(r.Message), indented(l.attrs))
	return err
}

// level is a level in five letters.
func (l textLog) level(level slog.Level) string {
	text := fmt.Sprintf("%-5s", level)
	switch {
	case level >= slog.LevelError:
		return l.colours.paint(red, text)
	case level >= slog.LevelWarn:
		return l.colours.paint(yellow, text)
	case level < slog.LevelInfo:
		return l.colours.paint(faint, text)
	}
	return text
}

func indented(attrs string) string {
	if attrs == "" {
		return ""
	}
	return " " + attrs
}

// harmless is a text with escapes for what could begin another line or act on a
// terminal.
func harmless(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// plain is a text, in quotes if it would not stand out as one.
func plain(text string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == '"' || r == '=' }
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}
