package ui_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

func databases(name string) []ui.Database {
	return []ui.Database{{Name: name, Path: "/home/someone/" + name, Size: 5 << 20}, {Name: "small", Path: `C:\x\small.db`, Size: 12}}
}

// Each template is executed with the zero value of its page struct, with every
// field filled, and with hostile text in every field: a misspelt field fails
// here.
func TestEveryTemplateWithItsStruct(t *testing.T) {
	t.Parallel()
	var used []string
	for _, p := range ui.Pages() {
		used = append(used, ui.PageFile(p))
		for _, text := range append([]string{"", "some text"}, hostile()...) {
			v := reflect.ValueOf(p).Elem()
			fill(v, text)
			body, err := ui.Render(p)
			if err != nil {
				t.Fatalf("%T: %v", p, err)
			}
			noDanger(t, body, 1)
			checkFrame(t, body)
			v.SetZero()
		}
	}
	slices.Sort(used)
	if files := ui.PageFiles(); !slices.Equal(used, files) {
		t.Errorf("templates are %v, page structs use %v", files, used)
	}
}

// fill sets every field of a struct that is about text to text, and every
// other to something. With an empty text it does nothing.
func fill(v reflect.Value, text string) {
	if text == "" {
		return
	}
	switch v.Kind() {
	case reflect.String:
		switch v.Type() {
		case ui.HTMLType():
			v.SetString("<em>ours</em>")
		case ui.AttrType():
			v.SetString(`action="/"`)
		default:
			v.SetString(text)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f, text)
			} else if v.Type().Field(i).Anonymous {
				fillEmbedded(f, text)
			}
		}
	}
}

// fillEmbedded fills the exported fields of an embedded unexported struct.
func fillEmbedded(v reflect.Value, text string) {
	for i := range v.NumField() {
		if f := v.Field(i); f.CanSet() {
			fill(f, text)
		}
	}
}

// checkFrame looks at what every page must have.
func checkFrame(t *testing.T, body string) {
	t.Helper()
	for _, once := range []string{"<!DOCTYPE html>", `<html lang="en">`, "\n<title>", "<h1>", `<main id="content"`, `class="skip-link"`, `<section class="content">`, `<header class="hd">`, `<footer class="ft">`, "</html>"} {
		if n := strings.Count(body, once); n != 1 {
			t.Errorf("%q is there %d times in:\n%s", once, n, body)
		}
	}
	for _, never := range []string{"<no value>", "%!"} {
		if strings.Contains(body, never) {
			t.Errorf("%q is in:\n%s", never, body)
		}
	}
}

// A field of a page struct with the name of one of the frame's would show up
// in the frame.
func TestNoPageStructHidesAFieldOfTheFrame(t *testing.T) {
	t.Parallel()
	frame := ui.BasePageType()
	for _, p := range ui.Pages() {
		page := reflect.TypeOf(p).Elem()
		for i := range page.NumField() {
			if name := page.Field(i).Name; name != frame.Name() {
				if _, hidden := frame.FieldByName(name); hidden {
					t.Errorf("%s.%s hides the frame's", page, name)
				}
			}
		}
	}
}

func TestEveryResponseHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.ui.RootToken = "t"
		o.sets = [][2]string{{"max_post_body_bytes", "100"}}
	})
	w.set("ONE", "1", "")
	check := func(a answer, what string) {
		t.Helper()
		for name, want := range map[string]string{
			"Content-Security-Policy":    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":     "nosniff",
			"X-Frame-Options":            "DENY",
			"Referrer-Policy":            "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Strict-Transport-Security":  "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
		if got := a.Header.Get("Cache-Control"); got != "no-store" && !strings.Contains(what, "static") && !strings.Contains(what, "favicon") {
			t.Errorf("%s: Cache-Control is %q", what, got)
		}
		if a.Header.Get("Content-Type") == "" {
			t.Errorf("%s has no type", what)
		}
	}
	for _, path := range ui.Paths() {
		path = strings.NewReplacer("{name:[^/]+}", "ONE", "{file:[^/]+}", "app.css").Replace(path)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
			for who, change := range map[string]func(*http.Request){"root": w.as("root"), "nobody": func(*http.Request) {}, "foreign": header("Sec-Fetch-Site", "cross-site"), "bad token": header("Authorization", "Bearer dstok_x")} {
				check(w.do(method, path, "", change), method+" "+path+" "+who)
			}
		}
	}
	check(w.get("/nosuch"), "404")
	check(w.get("/nosuch.json"), "404 JSON")
	check(w.get("/-/secrets/"), "redirect")
	check(w.do("POST", "/-/secrets/ONE", strings.Repeat("x", 101), w.as("root")), "413")
}

func TestExtraStyleSheets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.sets = [][2]string{{"base_url", "/pre/"}}
		o.ui.ExtraCSS = assetsOf("/own.css", "https://cdn.example.com/x/y.css", "//other.example/z.css", "https://cdn.example.com/2.css", "https://evil.example;script-src/x.css", "data:text/css,x")
		o.ui.ExtraCSS[1].SRI = "sha256-abc"
	})
	a := w.get("/")
	a.want(t, 200, `href="/pre/own.css"`, `href="https://cdn.example.com/x/y.css" integrity="sha256-abc" crossorigin="anonymous"`)
	if got := a.Header.Get("Content-Security-Policy"); !strings.Contains(got, "; style-src 'self' https://cdn.example.com other.example; script-src 'self'; ") {
		t.Errorf("Content-Security-Policy: %s", got)
	}
}

func TestHomePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.ui.Databases = databases("data.db")
		o.ui.Plugins = func() []secrets.PluginStatus {
			return []secrets.PluginStatus{{Name: "zeta", State: secrets.PluginBackoff, LastError: "it fell"}, {Name: "alpha", Version: "1", State: secrets.PluginReady}}
		}
	})
	a := w.get("/", w.as("root"))
	a.want(t, 200, "<title>Datasette secrets: data.db, small</title>", `<body class="index">`, "5.0 MB", "12 bytes", "small.db", "failing", `<a href="/-/secrets">Manage secrets</a>`)
	a.lacks(t, "/home/someone", `C:\`)
	if strings.Index(a.body, "alpha") > strings.Index(a.body, "zeta") {
		t.Error("plugins are not sorted")
	}
	w.get("/").want(t, 200, "How to sign in")
	w.get("/", w.as("bob")).want(t, 200, "Your account may not manage secrets")
	w.get("/-/").want(t, 200)
	closed := newWorld(t, func(o *options) { o.allow = map[string]any{"id": "bob"} })
	closed.get("/").want(t, 403, "view-instance")
	closed.get("/-/secrets", closed.as("root")).want(t, 200)
	closed.get("/-/secrets", closed.as("root")).lacks(t, ">home</a>")
	closed.get("/-/secrets/EXAMPLE_SECRET", closed.as("root")).want(t, 200, `<p class="crumbs"><a href="/-/secrets">secrets</a></p>`)
}
