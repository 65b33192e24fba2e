package interop_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A configuration file and the pairs of -s mean the same to both programs:
// every document that either can read is read alike, and what one refuses the
// other refuses too.
func TestConfigurationIsReadAlike(t *testing.T) {
	t.Parallel()
	random, campaign := rand.New(rand.NewPCG(3, 4)), 600
	if harness.Soak() {
		campaign = 3000
	}
	var question struct {
		Documents []string      `json:"documents"`
		Settings  [][][2]string `json:"settings"`
	}
	question.Documents = documents(t)
	for range campaign {
		question.Documents = append(question.Documents, randomDocument(random))
		question.Settings = append(question.Settings, randomPairs(random))
	}
	var answer struct{ Documents, Settings []any }
	script(t, "parse.py", &answer, jsonFile(t, question))
	refused := 0
	for i, text := range question.Documents {
		v, err := config.Parse([]byte(text))
		compareTrees(t, fmt.Sprintf("document %q", text), v, err, answer.Documents[i])
		if answer.Documents[i] == "error" {
			refused++
		}
	}
	for i, pairs := range question.Settings {
		v, err := config.ParsePairs(pairs)
		compareTrees(t, fmt.Sprintf("-s %q", pairs), v, err, answer.Settings[i])
	}
	t.Logf("of %d documents Python refuses %d", len(question.Documents), refused)
	if refused*3 > len(question.Documents) {
		t.Errorf("Python refuses %d of %d documents: too few are left", refused, len(question.Documents))
	}
}

func compareTrees(t *testing.T, what string, got any, err error, want any) {
	t.Helper()
	var tagged any = "error"
	if err == nil {
		decode(t, show(t, tag(got)), &tagged)
	}
	if !reflect.DeepEqual(tagged, want) {
		t.Errorf("%s:\ngot    %s (%v)\nPython %s", what, show(t, tagged), err, show(t, want))
	}
}

// tag writes a tree as testdata/parse.py does.
func tag(v any) any {
	switch v := v.(type) {
	case int64:
		return map[string]any{"int": fmt.Sprint(v)}
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			return map[string]any{"int": n.String()}
		}
		f, _ := v.Float64() // out of range is infinite in Python too
		return tag(f)
	case float64:
		if math.IsNaN(v) {
			return map[string]any{"float": "nan"}
		}
		return map[string]any{"float": fmt.Sprintf("%016x", math.Float64bits(v))}
	case time.Time:
		return map[string]any{"time": v.UTC().Format("2006-01-02 15:04:05.000000")}
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = tag(item)
		}
		return list
	case map[string]any:
		tree := map[string]any{}
		for key, item := range v {
			tree[key] = tag(item)
		}
		return map[string]any{"map": tree}
	}
	return v
}

// documents are chosen ones: what people write, and the dark corners.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{studioConfig, "", "{}", "null", "[1, 2]", "text", "{\"a\": 1, \"a\": 2}", "{\"a\": 1e400}", "{\"a\": 01}", "{'a': on}", "\ufeff{}"}
	for _, path := range []string{"../../internal/config/testdata/settings.json", "../../internal/access/testdata/allow.json"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

// scalars are what may stand for a value, anywhere.
func scalars() []string {
	return strings.Split("yes|No|on|OFF|y|n|true|False|tRUE|~|null|Null|None|0|-0|1|010|08|0o17|0x1F|0b11|1_000|-12|+3|"+
		"9223372036854775808|1.0|1.|.5|-1.5e+3|1e3|1.5e3|1_0.5|.inf|-.INF|.nan|1:30|190:20:30|1:30.5|"+
		"2024-01-01|2024-1-1|2024-01-01 1:02:03|2001-12-14t21:59:43.10-05:00|2024-01-01T01:02:03Z|20240101|1.2.3|"+
		"root|a b|it's|a#b|http://x/?a=b|$env|x@y|\"yes\"|'010'|'it''s'|\"\\x41\\u00e9\\n\"|'$file'|é ☃|!!str 010|-x|a-|\"\"|''", "|")
}

// randomDocument makes YAML in block style, with flow style inside, anchors,
// aliases, merges, comments and blocks of text.
func randomDocument(random *rand.Rand) string {
	w := &yamlWriter{random: random}
	if random.IntN(8) == 0 {
		w.text.WriteString(pick(random, "---\n", "# comment\n", "\n\n", "%YAML 1.1\n---\n"))
	}
	w.mapping(0)
	return w.text.String()
}

type yamlWriter struct {
	random  *rand.Rand
	text    strings.Builder
	anchors int
}

func (w *yamlWriter) mapping(depth int) {
	indent := strings.Repeat("  ", depth)
	if w.anchors > 0 && w.random.IntN(6) == 0 && depth > 0 {
		fmt.Fprintf(&w.text, "%s<<: *x1\n", indent)
	}
	for range 1 + w.random.IntN(4) {
		key := pick(w.random, "a", "b", "c", "permissions", "id", "$env", "manage-secrets", "'q'", "\"d\"", "yes", "8", "1.5", "~", "2024-01-01")
		w.text.WriteString(indent + key + ":")
		w.value(depth)
	}
}

// value writes what follows a colon or a dash, and ends the line.
func (w *yamlWriter) value(depth int) {
	choice := w.random.IntN(12)
	if depth > 3 {
		choice = 11
	}
	indent := strings.Repeat("  ", depth+1)
	switch choice {
	case 0, 1:
		w.text.WriteString("\n")
		w.mapping(depth + 1)
	case 2:
		w.text.WriteString("\n")
		for range 1 + w.random.IntN(3) {
			w.text.WriteString(indent + "-")
			w.value(depth + 1)
		}
	case 3:
		w.text.WriteString(" " + w.flow(2) + "\n")
	case 4:
		fmt.Fprintf(&w.text, " %s\n%s%s\n\n%s  x\n", pick(w.random, "|", ">", "|-", ">-", "|+"), indent, pick(w.random, scalars()...), indent)
	case 5:
		if w.anchors == 0 { // the first is a mapping, so that it can be merged
			w.anchors++
			fmt.Fprintf(&w.text, " &x1 {m: %s, n: 2}\n", pick(w.random, "on", "010", "root"))
			return
		}
		w.text.WriteString(" *x1\n")
	case 6:
		w.text.WriteString(pick(w.random, "", " # comment", " ") + "\n")
	default:
		w.text.WriteString(" " + pick(w.random, scalars()...) + pick(w.random, "", "", "", " # comment") + "\n")
	}
}

func (w *yamlWriter) flow(depth int) string {
	var items []string
	for range w.random.IntN(4) {
		item := pick(w.random, scalars()...)
		if depth > 0 && w.random.IntN(4) == 0 {
			item = w.flow(depth - 1)
		}
		items = append(items, item)
	}
	if w.random.IntN(2) == 0 {
		return "[" + strings.Join(items, ", ") + pick(w.random, "", ",") + "]"
	}
	for i := range items {
		items[i] = pick(w.random, "a", "b", "'c'", "\"d\"", "id", "on") + ": " + items[i]
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// randomPairs makes a few pairs that often touch the same place.
func randomPairs(random *rand.Rand) (pairs [][2]string) {
	keys := strings.Split("a|a.b|a.b.c|b|a.|.a|..|a..b||permissions.manage-secrets.id|permissions.manage-secrets|plugins.p.key|settings.base_url|"+
		"base_url|sql_time_limit_ms|max_post_body_bytes|force_https_urls|allow_signed_tokens|settings.nope", "|")
	values := strings.Split(`1|0|-1|"1"|true|True|TRUE|false|on|off|OFF|null|None|[1,2]|[1, [2.5, {"x": null}]]|{"b": 1}|{"b": {"c": [true]}}|{"x":1,"x":2}|{}|[]|`+
		`1.5|-1e3|1e400|-0|01|1_000|0x1| 1 |`+"\t2\n"+`|"é\u00e9\n"|"x|x"|'x'|x y|-LujH=|$env|{"$env": "A"}|20|020|`+"\u00a01"+`|1 2|.5|1.|+1|123456789012345678901234567890|/x/||""`, "|")
	for range 1 + random.IntN(4) {
		pairs = append(pairs, [2]string{pick(random, keys...), pick(random, values...)})
	}
	return pairs
}
