package secrets_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"strings"
	"testing"
	texttemplate "text/template"

	"go.yaml.in/yaml/v3"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// clearText is one that no address or number contains by accident. A test
// that finds it, or how an encoder would write it, has found a leak.
const clearText = "hunter2-swordfish"

// leaks reports whether text shows the clear text in some common writing.
func leaks(text string) bool {
	for _, form := range []string{
		clearText,
		fmt.Sprintf("%x", clearText), fmt.Sprintf("%X", clearText), fmt.Sprintf("% x", clearText),
		strings.Trim(fmt.Sprint([]byte(clearText)), "[]"),
		"aHVudGVyMi1zd29yZGZpc2", // base64
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// holders are all the ways in which a Value can sit inside something else.
func holders() map[string]any {
	v := secrets.NewValue(clearText)
	type exported struct{ Value secrets.Value }
	type unexported struct{ value secrets.Value }
	type pointer struct{ value *secrets.Value }
	type embedded struct{ secrets.Value }
	type deep struct{ In map[string][]any }
	return map[string]any{
		"a value":             v,
		"a pointer":           &v,
		"an exported field":   exported{v},
		"an unexported field": unexported{v},
		"a pointer to both":   &struct{ A, b any }{exported{v}, unexported{v}},
		"a field of pointers": pointer{&v},
		"an embedded value":   embedded{v},
		"a slice":             []secrets.Value{v},
		"an array":            [1]secrets.Value{v},
		"a map":               map[string]secrets.Value{"k": v},
		"a map's key":         map[secrets.Value]string{v: "k"},
		"something deep":      deep{map[string][]any{"k": {unexported{v}, &v}}},
		"an error":            fmt.Errorf("with %v and %q and %#v", v, v, unexported{v}),
		"joined errors":       errors.Join(fmt.Errorf("with %s", v), errors.New("x")),
	}
}

func TestValueHidesFromPrinting(t *testing.T) {
	t.Parallel()
	verbs := "vTtbcdoOqxXUeEfFgGsp"
	flags := []string{"", "+", "#", "-40", " ", "040", ".3", "+#", "#+.2"}
	for name, holder := range holders() {
		for _, verb := range verbs {
			for _, flag := range flags {
				format := "%" + flag + string(verb)
				if text := fmt.Sprintf(format, holder); leaks(text) {
					t.Errorf("%s leaks with %s: %s", name, format, text)
				}
			}
		}
		if text := fmt.Sprint(holder) + fmt.Sprintln(holder); leaks(text) {
			t.Errorf("%s leaks when printed: %s", name, text)
		}
	}
	for _, verb := range verbs {
		if text := fmt.Sprintf("%"+string(verb), secrets.NewValue(clearText)); verb != 'T' && verb != 'p' && text != "[redacted]" {
			t.Errorf("%%%c gives %q", verb, text)
		}
	}
}

func TestValueHidesFromEncoders(t *testing.T) {
	t.Parallel()
	encoders := map[string]func(any) (string, error){
		"json": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"xml":  func(v any) (string, error) { b, err := xml.Marshal(v); return string(b), err },
		"yaml": func(v any) (text string, err error) {
			defer func() {
				if r := recover(); r != nil { // yaml panics on what it cannot encode
					err = fmt.Errorf("%v", r)
				}
			}()
			b, err := yaml.Marshal(v)
			return string(b), err
		},
		"gob": func(v any) (string, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.String(), err
		},
		"a text template": func(v any) (string, error) {
			var b bytes.Buffer
			err := texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{printf "%v" .}}`)).Execute(&b, v)
			return b.String(), err
		},
		"an HTML template": func(v any) (string, error) {
			var b bytes.Buffer
			page := `<a title="{{.}}" href="/{{.}}" onclick="f({{.}})">{{.}}</a><script>x = {{.}}</script>`
			err := template.Must(template.New("").Parse(page)).Execute(&b, v)
			return b.String(), err
		},
	}
	for encoder, encode := range encoders {
		for name, holder := range holders() {
			text, err := encode(holder) // an error is fine, as long as it hides the value too
			if leaks(text) || err != nil && leaks(err.Error()) {
				t.Errorf("%s leaks through %s: %s, %v", name, encoder, text, err)
			}
		}
	}
	text, err := json.Marshal(secrets.NewValue(clearText))
	if err != nil || string(text) != `"[redacted]"` {
		t.Errorf("JSON is %s, %v", text, err)
	}
}

func TestValueHidesFromLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	loggers := map[string]*slog.Logger{
		"text": slog.New(slog.NewTextHandler(&out, nil)),
		"json": slog.New(slog.NewJSONHandler(&out, nil)),
	}
	for kind, logger := range loggers {
		for name, holder := range holders() {
			out.Reset()
			logger.Info("m", "k", holder)
			logger.With("k", holder).WithGroup("g").Info("m", slog.Group("h", "k", holder))
			logger.Info(fmt.Sprint(holder))
			if leaks(out.String()) {
				t.Errorf("%s leaks through slog's %s: %s", name, kind, out.String())
			}
		}
		out.Reset()
		logger.Info("m", "k", secrets.NewValue(clearText))
		if !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("slog's %s writes %s", kind, out.String())
		}
	}
	out.Reset()
	plain := log.New(&out, "", 0)
	for _, holder := range holders() {
		plain.Print(holder)
		plain.Printf("%+v", holder)
	}
	if leaks(out.String()) {
		t.Errorf("log writes %s", out.String())
	}
}

func TestValueGivesItsTextOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	v := secrets.NewValue(clearText)
	if v.Reveal() != clearText || v.Len() != len(clearText) {
		t.Error("a value does not give its text back")
	}
	var zero secrets.Value
	if zero.Reveal() != "" || zero.Len() != 0 || zero.String() != "[redacted]" {
		t.Error("the zero value is not the empty text, or says so")
	}
	if v == secrets.NewValue(clearText) {
		t.Error("comparing two values tells whether their texts are the same")
	}
}
