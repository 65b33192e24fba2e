package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// typeName is Python's name of a value's type, for the error texts that are
// Datasette's.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	case int64:
		return "int"
	case float64:
		return "float"
	case time.Time:
		return "date"
	case []any:
		return "list"
	}
	return "dict"
}

// kind names a value's type for people.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case string:
		return "text"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "a number"
}

// repr writes a value as Python's repr does, up to a reasonable length.
func repr(v any) string { return clip(reprFull(v)) }

func reprFull(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return quote(v)
	case float64:
		return strings.NewReplacer("NaN", "nan", "Infinity", "inf").Replace(floatText(v))
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = reprFull(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		items := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, quote(key)+": "+reprFull(v[key]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// quote writes text in single quotes, or in double quotes when only these
// need no escape. What cannot be printed is escaped.
func quote(text string) string {
	q := strconv.Quote(text)
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		return q
	}
	inner := strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(inner, "'", `\'`) + "'"
}

// floatText writes a float as Python's json module does: always with a point
// or an exponent.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if size := math.Abs(f); f != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// clip shortens a text that an error repeats.
func clip(text string) string {
	const limit = 200
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
