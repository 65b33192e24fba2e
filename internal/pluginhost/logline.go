package pluginhost

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

const (
	maxFields = 32   // fields of one line that are kept
	maxField  = 1024 // bytes of one field's value
	maxKey    = 64   // bytes of one field's name

	fieldsGroup = "fields" // what the host's log calls a plugin's own fields
)

// entry is one line of a plugin's log.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	tagged  bool // it names its level itself
}

// parseLine reads a line as hclog writes it, a JSON object with the keys
// @level, @message, @module and @timestamp and further fields. Any value may
// be of any type. Every other line is its own message.
func parseLine(line []byte, cut bool, r *redactor) entry {
	plain := entry{level: slog.LevelInfo, message: r.fit(r.hide(string(line), cut), maxLine)}
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return plain
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil || fields["@message"] == nil {
		return plain
	}
	e := entry{message: r.scalar(fields["@message"], maxLine)}
	e.level, e.tagged = level(r.scalar(fields["@level"], maxKey))
	if rest := others(fields, r); len(rest) > 0 {
		// In a group of their own, they cannot pose as the host's fields.
		e.attrs = []slog.Attr{slog.GroupAttrs(fieldsGroup, rest...)}
	}
	return e
}

func level(name string) (slog.Level, bool) {
	switch strings.ToLower(name) {
	case "trace":
		return slog.LevelDebug - 4, true
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "error", "fatal":
		return slog.LevelError, true
	}
	return slog.LevelInfo, false
}

// others are the fields that are not hclog's own. Its module is left out: the
// log knows which plugin it is.
func others(fields map[string]json.RawMessage, r *redactor) []slog.Attr {
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if key == "@message" || key == "@level" || key == "@timestamp" || key == "@module" {
			continue
		}
		if len(attrs) == maxFields {
			break
		}
		name := r.fit(strings.TrimPrefix(key, "@"), maxKey)
		attrs = append(attrs, slog.String(name, r.scalar(fields[key], maxField)))
	}
	return attrs
}

// scalar is a JSON value as text: a string as it is, everything else as JSON.
func (r *redactor) scalar(value json.RawMessage, limit int) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value)
	}
	return r.fit(text, limit)
}

// isCrash tells whether a line begins the last words of a Go program.
func isCrash(message string) bool {
	return strings.HasPrefix(message, "panic: ") || strings.HasPrefix(message, "fatal error: ")
}
