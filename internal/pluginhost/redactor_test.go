package pluginhost_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

// forms are the ways in which a program writes a value by accident.
func forms(value string) map[string]string {
	asJSON := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	raw := []byte(value)
	escape := regexp.MustCompile("%..")
	return map[string]string{
		"raw":             value,
		"trimmed":         strings.TrimSpace(value),
		"quoted":          strconv.Quote(value),
		"quoted as ASCII": strconv.QuoteToASCII(value),
		"%+q":             fmt.Sprintf("%+q", value),
		"JSON":            asJSON(value),
		"JSON in JSON":    asJSON(asJSON(value)),
		"JavaScript":      template.JSEscapeString(value),
		"query":           url.QueryEscape(value),
		"path":            url.PathEscape(value),
		"userinfo":        url.UserPassword("user", value).String(),
		"small percent":   escape.ReplaceAllStringFunc(url.QueryEscape(value), strings.ToLower),
		"all percent":     "%" + strings.Join(pairs(hex.EncodeToString(raw)), "%"),
		"hex":             hex.EncodeToString(raw),
		"HEX":             strings.ToUpper(hex.EncodeToString(raw)),
		"%x":              fmt.Sprintf("%x", value),
		"base64":          base64.StdEncoding.EncodeToString(raw),
		"raw base64":      base64.RawStdEncoding.EncodeToString(raw),
		"base64 URL":      base64.URLEncoding.EncodeToString(raw),
		"raw base64 URL":  base64.RawURLEncoding.EncodeToString(raw),
		"basic auth 1":    base64.StdEncoding.EncodeToString([]byte("u:" + value)),
		"basic auth 2":    base64.StdEncoding.EncodeToString([]byte("us:" + value + "!")),
		"basic auth 3":    base64.StdEncoding.EncodeToString([]byte("use:" + value + "!!")),
		"auth in a URL":   url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("use:" + value))),
		"auth in JSON":    strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte("use:"+value)), "/", `\/`),
	}
}

func pairs(text string) (all []string) {
	for ; text != ""; text = text[2:] {
		all = append(all, text[:2])
	}
	return all
}

// values are what secrets look like.
func values() map[string]string {
	return map[string]string{
		"token":     "sk-proj-4f9Ab3/x+Y_z~Q%41==",
		"short":     "k3y!",
		"words":     "correct horse battery staple",
		"quotes":    `it's a "quoted" \ back<slash>&more`,
		"umlauts":   "pässwörd-日本語-🔑",
		"database":  "postgres://user:p%40ss@db/x?sslmode=require",
		"newline":   "with a newline at its end\n",
		"multiline": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n",
		"control":   "tab\tand\x01bell\a",
		"long":      strings.Repeat("0123456789abcdef", 300),
	}
}

// leaks reports whether a text has a part of a value that is worth anything: six
// bytes of it in a row, in the way that it was written.
func leaks(text, written string) string {
	const worth = 6
	for i := 0; i+worth <= len(written); i++ {
		part := written[i : i+worth]
		if strings.Contains(text, part) && !strings.HasPrefix(part, `\u000`) { // of a control character
			return part
		}
	}
	return ""
}

func TestRedactorHidesEveryForm(t *testing.T) {
	t.Parallel()
	for kind, value := range values() {
		var r pluginhost.Redactor
		r.Learn("DECOY", "another value")
		r.Learn("KEY", value)
		core := forms(strings.TrimSpace(value))
		for form, written := range forms(value) {
			for _, around := range []string{"%s", "failed: %s.", `"%s"`, "x=%s&y=1", "(%s)", `\\%s`, "%%%s"} {
				text := strings.Replace(around, "%s", written, 1)
				got := r.Hide(text, false)
				if part := leaks(got, core[form]); part != "" {
					t.Errorf("%s as %s: %q became %q", kind, form, text, got)
				}
			}
		}
	}
}

func TestRedactorLeavesTheRest(t *testing.T) {
	t.Parallel()
	var r pluginhost.Redactor
	const innocent = `GET https://example.com/a%20b?c=d+e "quoted \"twice\"" {"a":"\u00e4"} c29tZXRoaW5n deadbeef`
	if got := r.Hide(innocent, true); got != innocent {
		t.Errorf("without any value: %q", got)
	}
	r.Learn("KEY", "hunter2-hunter2")
	if got := r.Hide(innocent, false); got != innocent {
		t.Errorf("got %q", got)
	}
	for text, want := range map[string]string{
		"":                                    "",
		"a hunter2-hunter2 b":                 "a [redacted] b",
		"hunter2-hunter2hunter2-hunter2":      "[redacted]",
		"hunter2-hunter2 and hunter2-hunter2": "[redacted] and [redacted]",
		"hunter2-hunter":                      "hunter2-hunter",
		"key=hunter2%2Dhunter2&x=%2D":         "key=[redacted]&x=%2D",
		`"hunter2\u002dhunter2\n"`:            `"[redacted]\n"`,
	} {
		if got := r.Hide(text, false); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// A line that was cut off may end within a value.
func TestRedactorKnowsTheBeginningOfAValue(t *testing.T) {
	t.Parallel()
	for kind, value := range values() {
		var r pluginhost.Redactor
		r.Learn("KEY", value)
		for form, written := range forms(value) {
			for end := 8; end <= min(len(written), 300); end += 3 {
				got := r.Hide("some text, then "+written[:end], true)
				if part := leaks(got, written); len(part) > 0 && end > 30 { // three bytes of a value may be left
					t.Errorf("%s as %s, cut after %d: %q", kind, form, end, got)
					break
				}
			}
		}
	}
}

func TestRedactorForgetsOldVersionsOnly(t *testing.T) {
	t.Parallel()
	var r pluginhost.Redactor
	for i := range 10 {
		r.Learn("KEY", fmt.Sprintf("value-number-%d", i))
		r.Learn("KEY", fmt.Sprintf("value-number-%d", i)) // read once more
	}
	r.Learn("OTHER", "value-number-9") // the same as another's
	for i := range 10 {
		text := fmt.Sprintf("value-number-%d", i)
		if got := r.Hide(text, false); (got == text) != (i < 7) {
			t.Errorf("%q became %q", text, got)
		}
	}
	for range 3 {
		r.Learn("KEY", "new"+fmt.Sprint(r.Size()))
	}
	if got := r.Hide("value-number-9", false); got != "[redacted]" {
		t.Errorf("the other secret's value is forgotten: %q", got)
	}
	size := r.Size()
	for i := range 1000 {
		r.Learn("KEY", fmt.Sprintf("value-number-%4d", i))
	}
	if r.Size() > 2*size {
		t.Errorf("it grew from %d to %d bytes", size, r.Size())
	}
}

// What cannot all be looked for is not looked for in part.
func TestRedactorWithholdsRatherThanMisses(t *testing.T) {
	t.Parallel()
	var r pluginhost.Redactor
	r.Learn("KEY", "hunter2-hunter2")
	full := 0
	for ; r.Hide("innocent", false) == "innocent"; full++ {
		if full > 10_000 {
			t.Fatal("it never gives up")
		}
		r.Learn(fmt.Sprint("LARGE_", full), strings.Repeat(fmt.Sprintf("line number %d\n", full), 10)+strings.Repeat(fmt.Sprint(full), 300))
	}
	if r.Size() > 4<<20 {
		t.Errorf("it takes %d bytes", r.Size())
	}
	if full < 500 {
		t.Errorf("it gave up after %d values", full)
	}
	r.Learn("SMALL", "small value")
	for _, text := range []string{"innocent", "hunter2-hunter2"} {
		if got := r.Hide(text, false); !strings.HasPrefix(got, "[withheld") {
			t.Errorf("%q became %q", text, got)
		}
	}
	message, fields := r.Line(`{"@message":"innocent","secret":"hunter2-hunter2","hunter2-hunter2":1}`, false)
	if strings.Contains(message+fmt.Sprint(fields), "innocent") || strings.Contains(fmt.Sprint(fields), "hunter2") {
		t.Errorf("got %q, %q", message, fields)
	}
	r.Renew()
	if got := r.Hide("innocent", false); got != "innocent" {
		t.Errorf("after a new start: %q", got)
	}
	r.Learn("KEY", "hunter2-hunter2")
	r.Renew()
	if got := r.Hide("hunter2-hunter2", false); got != "[redacted]" {
		t.Errorf("a new start forgot what it need not forget: %q", got)
	}
}

// A plugin cannot keep its host busy with texts that begin many values and write
// none, whatever its values are.
func TestRedactorIsQuick(t *testing.T) {
	t.Parallel()
	for _, value := range []string{strings.Repeat("a", 300), "aaaa", `\\\\`, "%%%%%%", "++++++++", "sk-proj-"} {
		var r pluginhost.Redactor
		for i := range 1000 {
			r.Learn(fmt.Sprint(i), value+fmt.Sprint(i))
		}
		for _, part := range []string{"a", `\`, "%41", "+", `+%2B\u0061`, "sk-proj-"} {
			began := time.Now()
			r.Hide(strings.Repeat(part, (16<<10)/len(part)), true)
			if took := time.Since(began); took > 5*time.Second { // it is a few milliseconds
				t.Errorf("%.10s in a text of %s took %s", value, part, took)
			}
		}
		if got := r.Hide("an innocent line", false); got != "an innocent line" {
			t.Errorf("got %q", got)
		}
	}
}

// One value of the largest size, in lines or not, is not too much.
func TestRedactorOfLargeValues(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"one line": strings.Repeat("0123456789abcde.", 1<<16),
		"lines":    strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n", 1<<14),
	} {
		var r pluginhost.Redactor
		r.Learn("KEY", value)
		if got := r.Hide("the line "+value[:5000], true); got != "the line [redacted]" {
			t.Errorf("%s: %.100q", name, got)
		}
		if r.Size() > 1<<20 {
			t.Errorf("%s: it takes %d bytes", name, r.Size())
		}
	}
}

func TestRedactorLooksAtWholeFields(t *testing.T) {
	t.Parallel()
	const value = "hunter2-hunter2"
	var r pluginhost.Redactor
	r.Learn("KEY", value)
	deep, err := json.Marshal(map[string]any{"list": []any{map[string]string{"k": "\"" + value + "\""}}})
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		`{"@message":"` + value + `","@level":"` + value + `","@module":"` + value + `"}`,
		`{"@message":"x","field":"` + value + `"}`,
		`{"@message":"x","` + value + `":1}`,
		`{"@message":"x","@` + value + `":1}`,
		`{"@message":"x","field":` + string(deep) + `}`,
		`{"@message":` + string(deep) + `}`,
		`{"@message":"x","field":"` + strings.Repeat("y", 1020) + value + `"}`, // where a field is cut off
		`{"@message":"x","` + strings.Repeat("y", 60) + value + `":1}`,
		`{"@message":"hun\u200bter2-hunter2 hunter2\ufeff-hunter2"}`,
		"hun\xffter2-hun\xfeter2",
		"panic: " + value,
		`{"@message":"` + value, // no JSON
	}
	for _, line := range lines {
		message, fields := r.Line(line, false)
		if got := message + fmt.Sprint(fields); strings.Contains(got, value) || leaks(got, value) != "" && !strings.Contains(line, `\u`) {
			t.Errorf("%q became %q", line, got)
		}
	}
}

func FuzzRedactor(f *testing.F) {
	f.Add("hunter2-hunter2", "x=", "&y", 3, false)
	f.Add("a\nlonger value\nof lines", `"`, `\"`, 9, true)
	f.Add("%41+b\\u0041", "%", "\\", 21, false)
	f.Fuzz(func(t *testing.T, value, before, after string, form int, cut bool) {
		if len(value) > 5000 || len(before)+len(after) > 5000 {
			return
		}
		var r pluginhost.Redactor
		r.Learn("KEY", value)
		all := forms(value)
		names := slices.Sorted(maps.Keys(all))
		written := all[names[uint(form)%uint(len(names))]]
		text := before + written + after
		got := r.Hide(text, cut)
		if cut {
			r.Fit(text, 100)
			return
		}
		for _, shown := range strings.Split(got, "[redacted]") {
			if len(value) >= 4 && strings.Contains(shown, value) {
				t.Errorf("%q became %q", text, got)
			}
		}
		if len(value) < 4 && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
