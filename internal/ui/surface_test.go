package ui_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

func assetsOf(urls ...string) []config.Asset {
	var all []config.Asset
	for _, u := range urls {
		all = append(all, config.Asset{URL: u})
	}
	return all
}

func TestEverySentinelHasAStatus(t *testing.T) {
	t.Parallel()
	table := map[string]struct {
		err    error
		status int
	}{
		"ErrInvalid":       {secrets.ErrInvalid, 400},
		"ErrDenied":        {secrets.ErrDenied, 403},
		"ErrNotDeclared":   {secrets.ErrNotDeclared, 403},
		"ErrNotApproved":   {secrets.ErrNotApproved, 403},
		"ErrNotFound":      {secrets.ErrNotFound, 404},
		"ErrNotSet":        {secrets.ErrNotSet, 404},
		"ErrNotConfigured": {secrets.ErrNotConfigured, 400},
		"ErrSealed":        {secrets.ErrSealed, 503},
		"ErrUnavailable":   {secrets.ErrUnavailable, 503},
		"ErrIntegrity":     {secrets.ErrIntegrity, 500},
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	ok(t, err)
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, isVar := n.(*ast.ValueSpec)
		if !isVar {
			return true
		}
		for _, name := range spec.Names {
			found++
			row, has := table[name.Name]
			if !has {
				t.Errorf("%s is missing in this test", name.Name)
				continue
			}
			status, text, known := ui.Status(fmt.Errorf("doing x: %w", row.err))
			if !known || status != row.status || text == "" {
				t.Errorf("%s is %d %q", name.Name, status, text)
			}
		}
		return true
	})
	if found != len(table) {
		t.Errorf("errors.go has %d sentinels, this test %d", found, len(table))
	}
	if _, _, known := ui.Status(errors.New("x")); known {
		t.Error("an unknown error has a class")
	}
}

func TestInternalErrorsShowANumberAndLogTheCause(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	w := newWorld(t, func(o *options) {
		o.ui.Plugins = func() []secrets.PluginStatus { panic(value) }
		o.ui.ConfigTree = func() map[string]any { return write(nil) }
	})
	number := regexp.MustCompile(`incident ([0-9a-f]{8})`)
	for _, path := range []string{"/-/plugins", "/-/config"} {
		a := w.get(path+"?token=hunter2", w.as("root"))
		a.want(t, 500, "<title>Error 500</title>", "<h1>Error 500</h1>")
		a.lacks(t, value, "<strong>root</strong>", "nil map", "goroutine")
		id := number.FindStringSubmatch(a.body)
		if id == nil || !strings.Contains(w.log.String(), "incident="+id[1]) {
			t.Errorf("the incident of %s is not in the log", path)
		}
	}
	if log := w.log.String(); strings.Contains(log, value) || !strings.Contains(log, "assignment to entry in nil map") || !strings.Contains(log, "panic with a string") {
		t.Errorf("the log is:\n%s", log)
	}
	j := w.get("/-/plugins.json", w.as("root"))
	j.want(t, 500, `{"ok": false, "error": "Something went wrong`, `"status": 500}`)
	j.lacks(t, value)
}

// write panics with a nil map.
func write(m map[string]any) map[string]any {
	m["x"] = 1
	return m
}

func TestUnreadableValueIsSaidAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.insert(db.Row{Name: "ONE"})
	w.insert(db.Row{Name: "ONE"})
	w.post("/-/secrets/ONE/-/restore", w.as("root"), "version", "1").want(t, 500, "The stored secret cannot be read with the configured keys")
	if !strings.Contains(w.log.String(), "path=/-/secrets/ONE/-/restore") {
		t.Errorf("the log is %q", w.log.String())
	}
}

func TestUnavailableDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := w.get("/-/secrets", w.as("root"), func(r *http.Request) { *r = *r.WithContext(ctx) })
	if a.StatusCode < 500 {
		t.Errorf("status is %d", a.StatusCode)
	}
	a.lacks(t, "context canceled")
}

func TestPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) { o.declare = append(o.declare, secrets.Declaration{Name: "X"}) })
	root := w.as("root")
	for target, location := range map[string]string{
		"/-/secrets/":         "/-/secrets",
		"/-/secrets/?q=1":     "/-/secrets?q=1",
		"/-/secrets/X/?q=1":   "/-/secrets/X?q=1",
		"/-/secrets/X//":      "/-/secrets/X",
		"//evil.example/":     "/evil.example",
		"//evil.example/%2e/": "/evil.example/%2e",
		`/\evil.example/`:     `/evil.example`,
	} {
		a := w.get(target, root)
		if a.StatusCode != 302 || a.Header.Get("Location") != location {
			t.Errorf("%s: %d %s, want %s", target, a.StatusCode, a.Header.Get("Location"), location)
		}
	}
	for _, target := range []string{"/nosuch", "/-/nosuch", "//evil.example", "/-/secrets/a/b", "/-/secrets//X", "/-//secrets", "/./-/secrets", "/-/secrets/X/-/nosuch", "/-/static/nosuch.css", "/-/static/..%2fui.go"} {
		a := w.get(target, root)
		a.want(t, 404, "<h1>Error 404</h1>")
		a.lacks(t, "<strong>root</strong>", ">Manage secrets</a>", "crumbs")
	}
	j := w.get("/-/secrets.json", root)
	if want := `{"ok": false, "error": "Database not found", "errors": ["Database not found"], "status": 404}`; j.StatusCode != 404 || j.body != want {
		t.Errorf("%d %s", j.StatusCode, j.body)
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.sets = [][2]string{{"base_url", "/pre/"}}
		o.ui.RootToken = "t"
	})
	for _, prefix := range []string{"", "/pre"} {
		a := w.get(prefix+"/-/secrets", w.as("root"))
		a.want(t, 200, `href="/pre/-/secrets/ONE"`, `<a href="/pre/-/secrets">Manage secrets</a>`, `<a href="/pre/">home</a>`, `action="/pre/-/logout"`, `href="/pre/-/static/app.css?_hash=`)
		w.get(prefix+"/", w.as("root")).want(t, 200)
		w.get(prefix+"/-/secrets/ONE", w.as("root")).want(t, 200, `action="/pre/-/secrets/ONE"`)
		w.get(prefix+"/-/secrets/?x=1", w.as("root")).wantRedirect(t, "/pre/-/secrets?x=1")
		w.post(prefix+"/-/secrets/ONE", w.as("root")).wantRedirect(t, "/pre/-/secrets/ONE")
		b := w.post(prefix+"/-/secrets/ONE", w.as("root"), "secret", "v")
		b.wantRedirect(t, "/pre/-/secrets")
		if _, line := b.cookie("ds_messages"); !strings.Contains(line, "; Path=/;") {
			t.Errorf("Set-Cookie: %s", line)
		}
		w.post(prefix+"/-/secrets/ONE/-/delete", w.as("root")).wantRedirect(t, "/pre/-/secrets")
	}
	w.get("/pre").want(t, 404)
	w.get("/pre/pre/").want(t, 302)
	w.get("/pre/-/auth-token?token=t").wantRedirect(t, "/pre/")
}

func TestFlashMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo, func(o *options) {
		o.ui.Plugins = func() []secrets.PluginStatus { panic("x") }
	})
	signed, err := w.signer.SignMessages([]signing.Message{{Text: "good <b>", Type: 1}, {Text: "hm", Type: 2}, {Text: "bad", Type: 3}})
	ok(t, err)
	pending := header("Cookie", "ds_messages="+signed)
	page := w.get("/-/secrets", w.as("root"), pending)
	page.want(t, 200, `<p class="message-info" role="status">good &lt;b&gt;</p>`, `class="message-warning"`, `class="message-error"`)
	if value, line := page.cookie("ds_messages"); value != `""` || !strings.Contains(line, "; Max-Age=0; Path=/") {
		t.Errorf("a page that shows messages sets %q", line)
	}
	for _, path := range []string{"/-/actor.json", "/-/secrets/"} {
		if value, _ := w.get(path, w.as("root"), pending).cookie("ds_messages"); value != signed {
			t.Errorf("%s sends on %q", path, value)
		}
	}
	refused := w.get("/-/secrets", w.as("bob"), pending)
	refused.want(t, 403, "good &lt;b&gt;")
	for what, a := range map[string]answer{
		"403": refused,
		"404": w.get("/nosuch", w.as("root"), pending),
		"500": w.get("/-/plugins", w.as("root"), pending),
		"css": w.get("/-/static/app.css", pending),
	} {
		if _, line := a.cookie("ds_messages"); line != "" {
			t.Errorf("%s sets %s", what, line)
		}
	}
	w.get("/nosuch", pending).lacks(t, "good")
	added := w.post("/-/secrets/ONE", func(r *http.Request) { w.as("root")(r); pending(r) }, "note", "x")
	if got := w.flash(added); len(got) != 4 || got[3].Text != "Secret is required" {
		t.Errorf("flash: %v", got)
	}
	if _, line := w.get("/-/secrets", w.as("root"), header("Cookie", "ds_messages=forged")).cookie("ds_messages"); line != "" {
		t.Errorf("a forged cookie is answered by %s", line)
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.root = true
		o.ui.Versions = ui.Versions{Host: "0.1.0", Go: "go1.26.0", SQLite: "3.51.1", Note: "é"}
		o.ui.Databases = []ui.Database{{Name: "data", Path: "/srv/data.db", Size: 4096, Write: true}}
		o.ui.ConfigTree = func() map[string]any {
			return map[string]any{"plugins": map[string]any{"datasette-secrets": "***"}, "day": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
		}
		o.ui.Plugins = func() []secrets.PluginStatus {
			return []secrets.PluginStatus{
				{Name: "b", State: secrets.PluginBackoff, Restarts: 3, LastError: "exit code 2", Hooks: []string{}, NextStart: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
				{Name: "a", Version: "1.0", State: secrets.PluginReady, Hooks: []string{"start", "register_secrets"}, Secrets: []string{"KEY_A"}, Sandbox: "enforce", Missing: []string{"namespaces", "ports"}},
			}
		}
	})
	for path, want := range map[string]string{
		"/-/actor.json":     `{"ok": true, "actor": {"id": "root"}}`,
		"/-/plugins.json":   `[{"name": "a", "static": false, "templates": false, "version": "1.0", "hooks": ["register_secrets", "start"]}, {"name": "b", "static": false, "templates": false, "version": null, "hooks": []}]`,
		"/-/versions.json":  `{"ok": true, "datasette": {"version": "0.1.0", "note": "\u00e9"}, "go": {"version": "go1.26.0"}, "sqlite": {"version": "3.51.1"}}`,
		"/-/config.json":    `{"ok": true, "day": "2026-01-02 00:00:00", "plugins": {"datasette-secrets": "***"}}`,
		"/-/databases.json": `{"ok": true, "databases": [{"name": "data", "route": "data", "path": "data.db", "size": 4096, "is_mutable": true, "is_memory": false, "hash": null}]}`,
	} {
		a := w.get(path, w.as("root"))
		if a.StatusCode != 200 || a.body != want || a.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	// How a plugin is held is nobody's business but the managers'.
	w.get("/-/plugins", w.as("root")).want(t, 200, "<dd>enforce, without: namespaces; ports</dd>")
	w.get("/-/plugins").lacks(t, "enforce", "namespaces")
	for _, path := range []string{"settings", "actions"} {
		a := w.get("/-/"+path+".json", w.as("root"))
		var v map[string]any
		if err := json.Unmarshal([]byte(a.body), &v); err != nil || v["ok"] != true {
			t.Errorf("%s: %v %s", path, err, a.body)
		}
	}
	w.get("/-/settings.json").want(t, 200, `"base_url": "/"`, `"max_post_body_bytes": 2097152`)
	w.get("/-/actions.json", w.as("root")).want(t, 200, `{"name": "manage-secrets", "abbr": null, "description": "Manage Datasette secrets", "takes_parent": false, "takes_child": false, "resource_class": null, "also_requires": null}`)
	w.get("/-/actions.json").want(t, 403)
	for _, path := range []string{"actor", "plugins", "versions", "settings", "config", "databases", "actions"} {
		a := w.get("/-/"+path, w.as("root"))
		a.want(t, 200, `<link rel="alternate" type="application/json+datasette" href="/-/`+path+`.json">`)
		if want := `<http://127.0.0.1:8123/-/` + path + `.json>; rel="alternate"; type="application/json+datasette"`; path != "plugins" && a.Header.Get("Link") != want {
			t.Errorf("%s: Link: %s", path, a.Header.Get("Link"))
		}
	}
	w.get("/-/plugins", w.as("root")).want(t, 200, "failing", "exit code 2", "KEY_A", "ready", "2026-01-02 00:00:00")
	w.get("/-/plugins").lacks(t, "exit code 2", "KEY_A")
	closed := newWorld(t, func(o *options) { o.allow = false })
	for _, path := range []string{"/", "/-/plugins", "/-/plugins.json", "/-/versions", "/-/versions.json", "/-/settings.json", "/-/config", "/-/config.json", "/-/databases.json"} {
		closed.get(path).want(t, 403, "view-instance")
	}
	closed.get("/-/actor.json").want(t, 200)
}

func TestStaticFilesAreKeptForEverByTheirHash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.get("/")
	links := regexp.MustCompile(`"(/-/static/[a-z.]+\?_hash=[0-9a-f]{12})"`).FindAllStringSubmatch(page.body, -1)
	if len(links) != 3 {
		t.Fatalf("%d links to files in:\n%s", len(links), page.body)
	}
	var types []string
	for _, link := range links {
		a := w.get(link[1])
		a.want(t, 200)
		if got := a.Header.Get("Cache-Control"); got != "max-age=31536000, immutable, public" {
			t.Errorf("%s: %s", link[1], got)
		}
		types = append(types, a.Header.Get("Content-Type"))
		path, _, _ := strings.Cut(link[1], "?")
		for _, query := range []string{"", "?_hash=000000000000"} {
			if got := w.get(path + query).Header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s%s: %s", path, query, got)
			}
		}
		if b := w.get(path, header("If-None-Match", a.Header.Get("ETag"))); b.StatusCode != http.StatusNotModified {
			t.Errorf("%s: %d", path, b.StatusCode)
		}
	}
	slices.Sort(types)
	if want := []string{"image/png", "text/css; charset=utf-8", "text/javascript; charset=utf-8"}; !slices.Equal(types, want) {
		t.Errorf("types are %v", types)
	}
	icon := w.get("/favicon.ico")
	if icon.Header.Get("Cache-Control") != "max-age=3600, public" || !strings.HasPrefix(icon.body, "\x89PNG") {
		t.Errorf("favicon: %v", icon.Header)
	}
}

// The paths work behind a real server too, where RequestURI is what was sent,
// and behind a handler that strips a prefix.
func TestHandlerInOtherSurroundings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	mux := http.NewServeMux()
	mux.Handle("/mounted/", http.StripPrefix("/mounted", w.handler))
	mux.Handle("/", w.handler)
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, prefix := range []string{"", "/mounted"} {
		r, err := http.NewRequest("GET", server.URL+prefix+"/-/secrets/ONE?x=1", nil)
		ok(t, err)
		w.as("root")(r)
		response, err := server.Client().Do(r)
		ok(t, err)
		_ = response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("%q: %d", prefix, response.StatusCode)
		}
	}
}
