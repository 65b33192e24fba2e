package pluginapi

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// The keys of a log line, those of hashicorp/go-hclog.
const (
	levelKey   = "@level"
	messageKey = "@message"
	timeKey    = "@timestamp"
	moduleKey  = "@module"
)

// timeLayout is go-hclog's, which wants exactly six digits.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// newLogger writes lines of JSON as go-hclog does, which any host built on
// go-plugin understands.
func newLogger(w io.Writer, module string) *slog.Logger {
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: renameBuiltIn})
	return slog.New(lineHandler{Handler: json.WithAttrs([]slog.Attr{slog.String(moduleKey, module)})})
}

// renameBuiltIn names slog's own attributes as go-hclog does.
func renameBuiltIn(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String(timeKey, a.Value.Time().Format(timeLayout))
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String(levelKey, levelName(level))
	case slog.MessageKey:
		return slog.String(messageKey, a.Value.String())
	}
	return a
}

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "trace"
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warn"
	}
	return "error"
}

// lineHandler keeps the author's own attributes apart from the line's keys,
// for slog would write both under one name.
type lineHandler struct {
	slog.Handler
	grouped bool // attributes go into a group, where there is nothing to clash with
}

// Handle implements slog.Handler.
func (h lineHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.grouped {
		return h.Handler.Handle(ctx, r)
	}
	renamed := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		renamed.AddAttrs(apart(a))
		return true
	})
	return h.Handler.Handle(ctx, renamed)
}

// WithAttrs implements slog.Handler.
func (h lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.grouped {
		return lineHandler{Handler: h.Handler.WithAttrs(attrs), grouped: true}
	}
	renamed := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		renamed[i] = apart(a)
	}
	return lineHandler{Handler: h.Handler.WithAttrs(renamed)}
}

// WithGroup implements slog.Handler.
func (h lineHandler) WithGroup(name string) slog.Handler {
	return lineHandler{Handler: h.Handler.WithGroup(name), grouped: h.grouped || name != ""}
}

// apart renames an attribute whose key means something in a line.
func apart(a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, levelKey, messageKey, timeKey, moduleKey:
		a.Key = "attr." + strings.TrimPrefix(a.Key, "@")
	}
	return a
}
