package config

import (
	"math"
	"slices"
	"strings"
)

const redacted = "***"

// Redacted returns a copy of the configuration for /-/config.json: the value
// of every key whose name suggests a secret is "***", at any depth. References
// are shown as they were written, never what they refer to. The copy can be
// written as JSON.
func (c *Config) Redacted() map[string]any { return redactMapping(c.tree) }

func redactMapping(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, v := range m {
		if suggestsSecret(key) {
			out[key] = redacted
			continue
		}
		out[key] = redactValue(v)
	}
	return out
}

func redactValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return redactMapping(v)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = redactValue(item)
		}
		return items
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) { // JSON has no number for these
			return floatText(v)
		}
	}
	return v
}

// suggestsSecret reports whether a key's name contains one of Datasette's
// words, in capital or small letters. Upper case first, because some letters,
// such as the long s, become plain ones only that way.
func suggestsSecret(key string) bool {
	key = strings.ToLower(strings.ToUpper(key))
	return slices.ContainsFunc([]string{"secret", "key", "password", "token", "hash", "dsn"}, func(word string) bool {
		return strings.Contains(key, word)
	})
}
