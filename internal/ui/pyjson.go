package ui

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

// pythonJSON encodes v as Python's json.dumps does by default: ", " and ": "
// between the parts, and only ASCII. Datasette's JSON looks like this, and
// clients that compare text get the same text here.
func pythonJSON(v any) string {
	e := encoder{itemSep: ", ", ascii: true}
	e.value(v, 0)
	return e.b.String()
}

// readableJSON encodes v for a person: indented, and not limited to ASCII.
func readableJSON(v any) string {
	e := encoder{itemSep: ",", indent: "  "}
	e.value(v, 0)
	return e.b.String()
}

type encoder struct {
	b       strings.Builder
	itemSep string
	indent  string
	ascii   bool
}

func (e *encoder) value(v any, depth int) {
	switch v := v.(type) {
	case nil:
		e.b.WriteString("null")
	case bool:
		e.b.WriteString(strconv.FormatBool(v))
	case string:
		e.text(v)
	case float64:
		e.b.WriteString(pythonFloat(v))
	case json.Number, int, int64, uint64:
		fmt.Fprint(&e.b, v)
	case time.Time:
		e.text(v.UTC().Format("2006-01-02 15:04:05"))
	case object:
		e.list('{', '}', len(v), depth, func(i int) { e.member(v[i].key, v[i].value, depth) })
	case map[string]any:
		e.dict(v, depth)
	case []any:
		e.list('[', ']', len(v), depth, func(i int) { e.value(v[i], depth+1) })
	case []string:
		e.list('[', ']', len(v), depth, func(i int) { e.text(v[i]) })
	default:
		e.text(fmt.Sprint(v))
	}
}

func (e *encoder) dict(m map[string]any, depth int) {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	e.list('{', '}', len(keys), depth, func(i int) { e.member(keys[i], m[keys[i]], depth) })
}

func (e *encoder) member(key string, v any, depth int) {
	e.text(key)
	e.b.WriteString(": ")
	e.value(v, depth+1)
}

func (e *encoder) list(start, end byte, n, depth int, item func(i int)) {
	e.b.WriteByte(start)
	for i := range n {
		if i > 0 {
			e.b.WriteString(e.itemSep)
		}
		e.newline(depth + 1)
		item(i)
	}
	if n > 0 {
		e.newline(depth)
	}
	e.b.WriteByte(end)
}

func (e *encoder) newline(depth int) {
	if e.indent != "" {
		e.b.WriteString("\n" + strings.Repeat(e.indent, depth))
	}
}

func (e *encoder) text(s string) {
	e.b.WriteByte('"')
	for _, r := range s {
		e.char(r)
	}
	e.b.WriteByte('"')
}

func (e *encoder) char(r rune) {
	switch {
	case r == '"' || r == '\\':
		e.b.WriteByte('\\')
		e.b.WriteRune(r)
	case r == '\n':
		e.b.WriteString(`\n`)
	case r == '\r':
		e.b.WriteString(`\r`)
	case r == '\t':
		e.b.WriteString(`\t`)
	case r == '\b':
		e.b.WriteString(`\b`)
	case r == '\f':
		e.b.WriteString(`\f`)
	case r < ' ', e.ascii && r >= utf8.RuneSelf && r <= 0xffff:
		fmt.Fprintf(&e.b, `\u%04x`, r)
	case e.ascii && r > 0xffff:
		high, low := utf16.EncodeRune(r)
		fmt.Fprintf(&e.b, `\u%04x\u%04x`, high, low)
	default:
		e.b.WriteRune(r)
	}
}

// pythonFloat writes a float as Python's repr does: 1.0 keeps its point.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}
