package ui_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// running are plugins that only write down what is done with them.
type running struct {
	status []secrets.PluginStatus
	done   []string
	err    error
}

func (r *running) act(what, plugin string) error {
	if !slices.ContainsFunc(r.status, func(s secrets.PluginStatus) bool { return s.Name == plugin }) {
		return secrets.ErrNotFound
	}
	r.done = append(r.done, what+" "+plugin)
	return r.err
}

func (r *running) Restart(plugin string) error { return r.act("restart", plugin) }
func (r *running) Enable(plugin string) error  { return r.act("enable", plugin) }
func (r *running) Disable(plugin string) error { return r.act("disable", plugin) }

func (r *running) Log(plugin string, _ int64) []secrets.LogLine {
	return []secrets.LogLine{
		{Seq: 1, Time: time.Date(2026, 7, 14, 1, 2, 3, 0, time.UTC), Level: slog.LevelInfo, Text: "first of " + plugin},
		{Seq: 2, Time: time.Date(2026, 7, 14, 1, 2, 4, 0, time.UTC), Level: slog.LevelWarn, Text: `second <b> & "`},
	}
}

// busy is a world with two plugins: weather waits for decisions, and gone has
// no file any more. root decides about plugins and manages secrets, keeper only
// decides, admin only manages secrets.
func busy(t *testing.T) (*world, *running) {
	t.Helper()
	r := &running{status: []secrets.PluginStatus{
		{Name: "demo", State: secrets.PluginReady, Secrets: []string{"ONE", "TWO"}},
		{Name: "weather", State: secrets.PluginBackoff, Version: "2.0", LastError: "it broke", Restarts: 3, Secrets: []string{"OWM_KEY", "NEW_KEY"}},
	}}
	w := newWorld(t, demo, func(o *options) {
		o.permissions["manage-plugins"] = map[string]any{"id": []any{"root", "keeper"}}
		o.ui.Plugins, o.ui.Running = func() []secrets.PluginStatus { return r.status }, r
	})
	introduce := func(plugin, hash string, hooks []string, names ...string) {
		t.Helper()
		in := vault.Introduction{Plugin: plugin, Hash: "sha256:" + hash, Version: "2.0", Hooks: hooks}
		for _, name := range names {
			in.Declarations = append(in.Declarations, secrets.Declaration{Name: name})
		}
		ok(t, w.vault.Introduce(t.Context(), in))
	}
	introduce("gone", "00", nil, "LEFT")
	introduce("weather", strings.Repeat("ab", 32), nil, "OWM_KEY", "DROPPED")
	introduce("weather", strings.Repeat("cd", 32), []string{"authenticator", "menu"}, "OWM_KEY", "NEW_KEY", "MORE_KEY", "ONE")
	return w, r
}

const weather = "/-/manage-plugins/weather"

// state is what became of a request of weather.
func (w *world) state(kind vault.RequestKind, name string) string {
	w.t.Helper()
	plugins, err := w.vault.Plugins(w.t.Context(), secrets.Caller{Proof: secrets.ProofLocal, Actor: secrets.NewActor("test")})
	ok(w.t, err)
	for _, p := range plugins {
		for _, r := range p.Requests {
			if p.Name == "weather" && r.Kind == kind && r.Name == name {
				return string(r.State)
			}
		}
	}
	return ""
}

func TestPluginsPageForWhoDecides(t *testing.T) {
	t.Parallel()
	w, _ := busy(t)
	a := w.get("/-/plugins", w.as("root"))
	a.want(t, 200,
		"5 requests of plugins waiting for a decision.", `<a class="waiting" href="/-/plugins">5<span class="words"> plugin requests</span></a>`,
		`<h2 id="plugin-weather">weather <span class="by">2.0</span> <span class="badge badge-failing">failing</span></h2>`,
		"it broke", `<code title="sha256:`+strings.Repeat("cd", 32)+`">cdcdcdcdcdcd</code>`,
		"<h3>Asks for</h3>", `<a href="/-/secrets/NEW_KEY">NEW_KEY</a>`, "also used by demo", `>Share…</a>`,
		`href="/-/manage-plugins/weather/approve?secret%3AONE=on"`, "says who is signed in",
		`<input type="hidden" name="secret:NEW_KEY" value="on">`, "Approve the other 3",
		"<h3>May use</h3>", "not asked for any more", `href="/-/manage-plugins/weather/refuse?secret%3AOWM_KEY=on"`,
		`<form class="core" action="/-/manage-plugins/weather/restart" method="post">`, `href="/-/manage-plugins/weather/disable"`,
		`<h2 id="plugin-gone">gone <span class="by">2.0</span> <span class="badge badge-absent">absent</span></h2>`,
	)
	a.lacks(t, "<h3>Was refused</h3>", "manage-plugins/gone/restart", "manage-plugins/gone/disable", "weather/enable")

	// Who does not manage secrets gets no links to their pages.
	a = w.get("/-/plugins", w.as("keeper"))
	a.want(t, 200, "NEW_KEY", "it broke", "Approve the other 3")
	a.lacks(t, "/-/secrets/")

	// The others are told no more than before, and no banner.
	a = w.get("/-/plugins", w.as("admin"))
	a.want(t, 200, "it broke", `<a href="/-/secrets/OWM_KEY">OWM_KEY</a>`)
	a.lacks(t, "manage-plugins", "Asks for", "waiting", "sha256", "absent")
	a = w.get("/-/plugins")
	a.want(t, 200, "weather", "failing")
	a.lacks(t, "manage-plugins", "Asks for", "OWM_KEY", "it broke", "waiting", "sha256", "absent")
	w.get("/", w.as("keeper")).want(t, 200, `class="waiting"`)
	w.get("/", w.as("admin")).lacks(t, "waiting")
	w.get("/-/plugins.json", w.as("root")).lacks(t, "sha256", "state", "gone")
}

func TestDecidingOnThePage(t *testing.T) {
	t.Parallel()
	w, _ := busy(t)
	post := func(act string, fields ...string) {
		t.Helper()
		form := []string{}
		for _, field := range fields {
			form = append(form, field, "on")
		}
		a := w.post(weather+act, w.as("root"), form...)
		a.wantRedirect(t, "/-/plugins")
		if len(w.flash(a)) != 1 {
			t.Errorf("%s %v: messages %v", act, fields, w.flash(a))
		}
	}
	post("/approve", "secret:NEW_KEY", "hook:menu")
	post("/refuse", "secret:MORE_KEY")
	post("/refuse", "secret:OWM_KEY")
	post("/approve", "secret:ONE")
	post("/approve", "hook:authenticator")
	post("/approve", "hook:authenticator") // again: nothing changes, and no error
	for want, requests := range map[string][]string{"granted": {"NEW_KEY", "ONE"}, "refused": {"MORE_KEY", "OWM_KEY"}} {
		for _, name := range requests {
			if got := w.state(vault.RequestSecret, name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
	for _, hook := range []string{"menu", "authenticator"} {
		if !w.vault.MayServe("weather", hook) {
			t.Errorf("%s is not granted", hook)
		}
	}
	a := w.get("/-/plugins", w.as("root"))
	a.want(t, 200, "<h3>Was refused</h3>", `· since <time datetime="2026-07-14T10:11:12Z">2026-07-14 10:11:12</time> <span class="by">by root</span>`)
	a.lacks(t, "Asks for", "waiting")
	w.get(weather, w.as("root")).want(t, 200,
		"Shared", "secret ONE", "Granted on first use", "secret OWM_KEY", "Refused", "hook menu", `<code title="sha256:`+strings.Repeat("cd", 32)+`">cdcdcdcdcdcd</code>`,
		"first of weather", "second &lt;b&gt; &amp; &#34;", "WARN")
}

// What may hurt is asked about first.
func TestConfirmations(t *testing.T) {
	t.Parallel()
	w, r := busy(t)
	get := func(path string) answer { return w.get(weather+path, w.as("root")) }
	get("/approve?secret%3AONE=on").want(t, 200, "<h1>Share ONE with weather</h1>", "may be read by demo",
		`<form class="core" action="/-/manage-plugins/weather/approve" method="post">`, `name="secret:ONE" value="on"`)
	get("/approve?hook%3Aauthenticator=on").want(t, 200, "sign anybody in as anybody but root", `class="button-danger"`, `name="hook:authenticator"`)
	get("/approve?secret:NEW_KEY=on").want(t, 200, "<h1>Let weather read NEW_KEY</h1>")
	get("/refuse?secret:OWM_KEY=on").want(t, 200, "<h1>Do not let weather read OWM_KEY</h1>", "counts at once")
	get("/disable").want(t, 200, "<h1>Disable weather</h1>", `action="/-/manage-plugins/weather/disable" method="post"`)
	get("/enable").wantRedirect(t, "/-/plugins")
	get("/restart").wantRedirect(t, "/-/plugins")
	if len(r.done) > 0 || w.state(vault.RequestSecret, "ONE") != "pending" {
		t.Errorf("looking did %v", r.done)
	}
	get("/approve").want(t, 400, "Say what to decide about")
	get("/approve?secret:NEVER=on").want(t, 404, "never asked for the secret NEVER")
	get("/refuse?what:OWM_KEY=on").want(t, 400)
	w.post(weather+"/approve", w.as("root")).want(t, 400)
	w.post(weather+"/approve", w.as("root"), "secret:NEVER", "on", "secret:NEW_KEY", "on").want(t, 404)
	if got := w.state(vault.RequestSecret, "NEW_KEY"); got != "pending" {
		t.Errorf("half of a wrong decision counts: %s", got)
	}
}

func TestSwitchingPluginsOnThePage(t *testing.T) {
	t.Parallel()
	w, r := busy(t)
	post := func(path string) answer { return w.post("/-/manage-plugins/"+path, w.as("root")) }
	post("weather/restart").wantRedirect(t, "/-/plugins")
	post("weather/disable").wantRedirect(t, "/-/plugins")
	if !w.vault.PluginDisabled("weather") {
		t.Error("it is not recorded that the plugin is disabled")
	}
	r.status[1].State = secrets.PluginDisabled
	a := w.get("/-/plugins", w.as("root"))
	a.want(t, 200, "weather/enable", "<dt>Disabled</dt>", "by root")
	a.lacks(t, "weather/restart", "weather/disable")
	post("weather/enable").wantRedirect(t, "/-/plugins")
	r.status[1].State = secrets.PluginFailed
	w.get("/-/plugins", w.as("root")).want(t, 200, "weather/enable", "weather/restart", `badge-failed`)
	post("gone/disable").wantRedirect(t, "/-/plugins") // there is nothing to stop
	if got := fmt.Sprint(r.done); got != "[restart weather disable weather enable weather]" {
		t.Errorf("done: %s", got)
	}
	r.err = fmt.Errorf("%w: the configuration turns this plugin off", secrets.ErrInvalid)
	post("weather/enable").want(t, 400, "The configuration turns this plugin off")
	post("nobody/disable").want(t, 404)
	post("..%2Fetc/disable").want(t, 404)
}

// Nobody else decides, whatever they send; neither does another site's page.
func TestWhoMayDecideOnThePage(t *testing.T) {
	t.Parallel()
	w, r := busy(t)
	everybody := func(o *options) { o.permissions["manage-plugins"] = true }
	for _, path := range []string{"", "/approve?secret:ONE=on", "/refuse?secret:ONE=on", "/disable", "/enable", "/restart"} {
		for name, who := range map[string]func(*http.Request){"nobody": func(*http.Request) {}, "admin": w.as("admin"), "stranger": w.as("bob")} {
			if a := w.get(weather+path, who); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s gets %s: %d", name, path, a.StatusCode)
			}
			if path == "" {
				continue
			}
			act, _, _ := strings.Cut(path, "?")
			if a := w.post(weather+act, who, "secret:ONE", "on"); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s posts %s: %d", name, path, a.StatusCode)
			}
			foreign := func(r *http.Request) { w.as("root")(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }
			if a := w.post(weather+act, foreign, "secret:ONE", "on"); a.StatusCode != http.StatusForbidden {
				t.Errorf("another site's page posts %s: %d", path, a.StatusCode)
			}
		}
	}
	if len(r.done) > 0 || w.state(vault.RequestSecret, "ONE") != "pending" || w.vault.PluginDisabled("weather") {
		t.Errorf("done: %v", r.done)
	}
	// Even when everybody may, somebody has to be named.
	anyone := newWorld(t, demo, everybody, func(o *options) {
		o.ui.Plugins, o.ui.Running = func() []secrets.PluginStatus { return r.status }, r
	})
	for _, act := range []string{"approve", "refuse", "disable", "enable", "restart"} {
		if a := anyone.post("/-/manage-plugins/demo/"+act, nil, "secret:ONE", "on"); a.StatusCode != http.StatusForbidden {
			t.Errorf("nobody posts %s: %d", act, a.StatusCode)
		}
	}
	if len(r.done) > 0 {
		t.Errorf("done: %v", r.done)
	}
}

// However much is decided at once, the message about it fits into a cookie.
func TestDecidingAboutManyThings(t *testing.T) {
	t.Parallel()
	w, _ := busy(t)
	in := vault.Introduction{Plugin: "weather", Hash: "sha256:00"}
	form := []string{}
	for i := range vault.MaxDeclarations {
		name := fmt.Sprintf("%s_%03d", strings.Repeat("N", 250), i)
		in.Declarations = append(in.Declarations, secrets.Declaration{Name: name})
		form = append(form, "secret:"+name, "on")
	}
	ok(t, w.vault.Introduce(t.Context(), in))
	w.get("/-/plugins", w.as("root")).want(t, 200, "Approve all 1000")
	a := w.post(weather+"/approve", w.as("root"), form...)
	a.wantRedirect(t, "/-/plugins")
	if _, line := a.cookie("ds_messages"); len(line) > 4096 || !strings.HasSuffix(w.flash(a)[0].Text, " and 995 more") {
		t.Errorf("the cookie has %d bytes: %v", len(line), w.flash(a))
	}
}
