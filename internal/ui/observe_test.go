package ui_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

var ownID = regexp.MustCompile(`^[A-Z2-7]{13}$`)

// A client that names its request itself is not believed, and no two requests
// have the same number.
func TestRequestsHaveNumbersOfTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	seen := map[string]bool{}
	for _, sent := range []string{"", "evil", strings.Repeat("A", 13), strings.Repeat("x", 10000), "a\r\nSet-Cookie: ds_actor=x"} {
		for _, path := range []string{"/", "/-/healthz", "/nosuch", "/-/secrets", "/-/static/app.css"} {
			a := w.get(path, func(r *http.Request) { r.Header["X-Request-Id"] = []string{sent} })
			id := a.Header.Get("X-Request-Id")
			if !ownID.MatchString(id) || seen[id] || id == sent || len(a.Header.Values("X-Request-Id")) != 1 {
				t.Errorf("%s with the number %q has %q", path, sent, id)
			}
			seen[id] = true
		}
	}
	a := w.do("POST", "/-/secrets/ONE", "", header("Sec-Fetch-Site", "cross-site"))
	if !ownID.MatchString(a.Header.Get("X-Request-Id")) {
		t.Error("a refused form has no number")
	}
}

func TestFailuresAreLoggedUnderTheNumberOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.ui.ConfigTree = func() map[string]any { panic("x") } })
	a := w.get("/-/config")
	a.want(t, 500)
	if id := a.Header.Get("X-Request-Id"); !strings.Contains(w.log.String(), "request="+id) {
		t.Errorf("request %s is not in the log:\n%s", id, w.log)
	}
}

// counting is a world that counts what it does.
func counting(o *options) {
	demo(o)
	o.permissions["view-metrics"] = map[string]any{"id": []any{"prometheus", "root"}}
	o.ui.Metrics = metrics.New("1", metrics.Looks{
		Plugins: func() []secrets.PluginStatus {
			return []secrets.PluginStatus{{Name: "demo", State: secrets.PluginReady, Restarts: 2}}
		},
		State: func() metrics.State { return metrics.State{Configured: true} },
		Log:   func(context.Context) (metrics.Log, error) { return metrics.Log{Entries: 7}, nil },
	})
}

func (w *world) scraper(actions ...any) func(*http.Request) {
	return w.token(signing.Token{Actor: "prometheus", Created: w.now.Unix(), Restrictions: map[string]any{"a": actions}})
}

func TestMetricsNeedTheirPermission(t *testing.T) {
	t.Parallel()
	newWorld(t).get("/-/metrics", header("Accept", "*/*")).want(t, 404)
	w := newWorld(t, counting)
	scraper := w.scraper("view-metrics")
	for name, change := range map[string]func(*http.Request){
		"nobody":                      func(*http.Request) {},
		"who manages secrets":         w.as("admin"),
		"a token for something else":  w.scraper("view-instance", "manage-secrets"),
		"a token for nothing":         w.scraper(),
		"a token of somebody else":    w.token(signing.Token{Actor: "admin", Created: w.now.Unix()}),
		"an actor of a foreign token": header("Authorization", "Bearer abc"),
	} {
		if a := w.get("/-/metrics", change); a.StatusCode != 403 || strings.Contains(a.body, "go_goroutines") {
			t.Errorf("%s gets %d:\n%s", name, a.StatusCode, a.body)
		}
	}
	w.get("/-/metrics", header("Authorization", "Bearer dstok_x")).want(t, 401)
	a := w.get("/-/metrics", scraper)
	a.want(t, 200, `datasette_secrets_plugin_state{plugin="demo",state="ready"} 1`, `datasette_secrets_plugin_state{plugin="demo",state="failed"} 0`,
		`datasette_secrets_plugin_restarts_total{plugin="demo"} 2`, "datasette_secrets_log_entries 7", "go_goroutines ", "process_open_fds ")
	if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("Content-Type: %s", got)
	}
	for _, path := range []string{"/-/secrets", "/-/plugins", "/-/config", "/"} { // and it may nothing else
		w.get(path, scraper).want(t, 403)
	}
}

// Whatever strangers ask for, the figures stay as few, and say nothing of it.
func TestRequestsMakeNoLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	scraper := w.scraper("view-metrics")
	paths := func(i int) []string {
		return []string{
			fmt.Sprint("/ODD", i), fmt.Sprint("/-/secrets/ODD", i), fmt.Sprint("/-/secrets/ODD", i, "/-/delete"), fmt.Sprint("/-/plugins/ODD", i, "/x"),
			fmt.Sprint("/-/manage-plugins/ODD", i), fmt.Sprint("/-/static/ODD", i), fmt.Sprint(`/ODD%22%7D%0a`, i), fmt.Sprint("/?ODD=", i), fmt.Sprint("/-/ODD", i, ".json"),
		}
	}
	load := func(i int) {
		for _, path := range paths(i) {
			w.get(path)
			w.get(path, w.as("ODDACTOR"), header("User-Agent", fmt.Sprint("ODD", i)))
			w.do("ODDMETHOD", path, "")
			w.do("POST", path, "ODD=1", header("Sec-Fetch-Site", "cross-site"))
		}
	}
	load(0)
	w.get("/-/metrics", scraper)
	before := w.get("/-/metrics", scraper)
	for i := range 20 {
		load(i)
	}
	after := w.get("/-/metrics", scraper)
	after.want(t, 200, `datasette_secrets_http_requests_total{route="/-/secrets/{name}",status="4xx"}`, `route="none",status="4xx"`)
	after.lacks(t, "ODD", "ONE", "TWO", "prometheus\"")
	series := func(a answer) int { return strings.Count(a.body, "datasette_secrets_") }
	if series(before) != series(after) {
		t.Errorf("there were %d series, and are %d now:\n%s", series(before), series(after), after.body)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	checks := []ui.Check{{Name: "database", OK: true, Word: "ok"}, {Name: "keys", OK: true, Word: "ok"}}
	w := newWorld(t, func(o *options) {
		o.permissions["view-instance"] = false
		o.ui.Readiness = func(context.Context) []ui.Check { return checks }
	})
	for _, change := range []func(*http.Request){func(*http.Request) {}, w.as("bob"), header("Authorization", "Bearer dstok_x")} {
		a := w.get("/-/readyz", change)
		a.want(t, 200)
		if a.body != "{\n  \"ok\": true,\n  \"database\": \"ok\",\n  \"keys\": \"ok\"\n}" {
			t.Errorf("ready: %s", a.body)
		}
		if w.get("/-/healthz", change).want(t, 200, `{"ok": true}`); a.Header.Get("Cache-Control") != "no-store" {
			t.Error("health may be cached")
		}
	}
	checks[1] = ui.Check{Name: "keys", Word: "sealed"}
	w.get("/-/readyz").want(t, 503, "\"ok\": false,\n", `"keys": "sealed"`, `"database": "ok"`)
	w.get("/-/healthz").want(t, 200)
	if a := w.do("HEAD", "/-/readyz", ""); a.StatusCode != 503 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	w.do("POST", "/-/healthz", "").want(t, 405)
}
