package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// show writes a value with its type, as testdata/pyyaml.py does.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64, json.Number:
		return fmt.Sprintf("int %v", v)
	case float64:
		if math.IsNaN(v) {
			return "float nan"
		}
		return fmt.Sprintf("float %016x", math.Float64bits(v))
	case time.Time:
		return "time " + v.UTC().Format("2006-01-02T15:04:05.000000")
	case string:
		return "str " + strconv.Quote(v)
	case []any:
		items := []string{}
		for _, item := range v {
			items = append(items, show(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		items := []string{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, strconv.Quote(key)+": "+show(v[key]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprintf("unexpected %T", v)
}

// unescape brings Python's and Go's string escapes to one form.
func unescape(shown string) string {
	var b strings.Builder
	for len(shown) > 0 {
		if shown[0] != '"' {
			b.WriteByte(shown[0])
			shown = shown[1:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(shown)
		if err != nil {
			return b.String() + shown
		}
		text, _ := strconv.Unquote(quoted)
		b.WriteString(strconv.QuoteToASCII(text))
		shown = shown[len(quoted):]
	}
	return b.String()
}

func readVectors(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}
