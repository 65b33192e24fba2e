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
)

// authorLog writes log lines for somebody who watches plugins: time, level,
// the plugin's name, the text and what comes with it.
//
//	15:04:05 INFO  weather  got the key  length=7
type authorLog struct {
	out     *authorOutput
	colours colours
	plugin  string // empty for the host's own words
	attrs   string // as they are written, with a space in front of each
	group   string // of the attributes to come, with a dot at its end
}

// authorOutput is what all parts of one log write to.
type authorOutput struct {
	mu    sync.Mutex
	w     io.Writer
	width int // of the longest name so far
}

const hostName = "host"

func newAuthorLog(w io.Writer, c colours) authorLog {
	return authorLog{out: &authorOutput{w: w, width: len("plugin")}, colours: c}
}

// Enabled implements slog.Handler: plugins may say more than the host.
func (l authorLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || l.plugin != "" && level >= slog.LevelDebug
}

// WithAttrs implements slog.Handler.
func (l authorLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		l = l.with(a)
	}
	return l
}

func (l authorLog) with(a slog.Attr) authorLog {
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
func (l authorLog) WithGroup(name string) slog.Handler {
	if name != "" {
		l.group += name + "."
	}
	return l
}

// Handle implements slog.Handler.
func (l authorLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		l = l.with(a)
		return true
	})
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	name, colour := l.plugin, green
	if name == "" {
		name, colour = hostName, faint
	}
	l.out.width = max(l.out.width, len(name))
	_, err := fmt.Fprintf(l.out.w, "%s %s %s  %s%s\n",
		l.colours.paint(faint, r.Time.Format(time.TimeOnly)), l.level(r.Level),
		l.colours.paint(colour, fmt.Sprintf("%-*s", l.out.width, name)), r.Message, indented(l.attrs))
	return err
}

// level is a level in five letters.
func (l authorLog) level(level slog.Level) string {
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

// plain is a text, in quotes if it would not stand out as one.
func plain(text string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == '"' || r == '=' }
	if text == "" || strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}
