package browser_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// keeper decides about plugins, and does not manage secrets.
func keeper() secrets.Actor { return secrets.NewActor("keeper") }

// startAsking starts a host whose plugin weather asks for all that a plugin can
// ask for, and for a secret of demo.
func startAsking(t *testing.T) *harness.Process {
	t.Helper()
	file, plugins := filepath.Join(t.TempDir(), "internal.db"), harness.PluginDir(t, "demo", "plugins/demo")
	probe := harness.AddProbe(t, plugins, "weather", pluginapi.Secret{Name: "WEATHER_KEY"}, pluginapi.Secret{Name: "OLD_WEATHER_KEY"})
	args := append(probe.Args, "--root", "--internal", file, "-s", "permissions.manage-plugins.id", `["root", "keeper"]`)
	host := harness.Start(t, harness.Options{Args: args})
	// As if it had been upgraded, and somebody had decided about some of it.
	execute(t, file, `insert into datasette_secrets_plugin_requests (plugin, kind, name, state, asked_at, decided_at, decided_by) values
		('weather', 'secret', 'MAP_KEY', 'pending', '2026-02-03 04:05:06', null, null),
		('weather', 'secret', 'TILES_KEY_FOR_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME_INDEED', 'pending', '2026-02-03 04:05:06', null, null),
		('weather', 'secret', 'DEMO_API_KEY', 'pending', '2026-02-03 04:05:06', null, null),
		('weather', 'hook', 'authenticator', 'pending', '2026-02-03 04:05:06', null, null),
		('weather', 'hook', 'menu', 'refused', '2026-02-03 04:05:06', '2026-02-04 04:05:06', 'amy'),
		('weather', 'hook', 'http', 'granted', '2026-02-03 04:05:06', '2026-02-04 04:05:06', 'amy')`)
	execute(t, file, `insert into datasette_secrets_plugin_decisions (time, actor_id, proof, plugin, decision, kind, name, hash) values
		('2026-02-04 04:05:06', 'amy', 'signed-in', 'weather', 'refuse', 'hook', 'menu', 'sha256:0123456789abcdef'),
		('2026-02-04 04:05:06', 'amy', 'signed-in', 'weather', 'disable', null, null, 'sha256:0123456789abcdef'),
		('2026-02-04 04:05:07', 'amy', 'local', 'weather', 'enable', null, null, 'sha256:0123456789abcdef')`)
	execute(t, file, `insert into datasette_secrets_plugins (name, hash, version, first_seen_at, seen_at, declarations)
		values ('departed', 'sha256:fedcba9876543210', '0.9', '2026-02-03 04:05:06', '2026-02-03 04:05:06', '[{"name": "LEFT_BEHIND"}]')`)
	execute(t, file, `insert into datasette_secrets_plugin_requests (plugin, kind, name, state, asked_at) values
		('departed', 'secret', 'LEFT_BEHIND', 'granted', '2026-02-03 04:05:06')`)
	execute(t, file, `update datasette_secrets_plugins set version = '2.0', hooks = '["authenticator", "http", "menu"]', declarations =
		'[{"name": "WEATHER_KEY"}, {"name": "MAP_KEY"}, {"name": "DEMO_API_KEY"},
		  {"name": "TILES_KEY_FOR_THE_EUROPEAN_REGION_WITH_A_VERY_LONG_NAME_INDEED"}]' where name = 'weather'`)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(host.Get(t, "/-/plugins", root()).Text, "MAP_KEY"); {
		if time.Now().After(deadline) {
			t.Fatal("the host does not notice what another process wrote")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return host
}

func TestPagesOfPluginsThatAsk(t *testing.T) {
	t.Parallel()
	lookAll(t, startAsking(t),
		view{"home-asked", root(), 200, at("/")},
		view{"plugins-asking", root(), 200, at("/-/plugins")},
		view{"plugins-asking-keeper", keeper(), 200, at("/-/plugins")},
		view{"plugin-share", root(), 200, at("/-/manage-plugins/weather/approve?secret:DEMO_API_KEY=on")},
		view{"plugin-authenticator", root(), 200, at("/-/manage-plugins/weather/approve?hook:authenticator=on")},
		view{"plugin-take-back", root(), 200, at("/-/manage-plugins/weather/refuse?secret:WEATHER_KEY=on")},
		view{"plugin-disable", root(), 200, at("/-/manage-plugins/weather/disable")},
		view{"plugin-history", root(), 200, at("/-/manage-plugins/weather")},
		view{"plugin-history-departed", root(), 200, at("/-/manage-plugins/departed")},
		view{"plugin-403", stranger(), 403, at("/-/manage-plugins/weather")},
		view{"plugin-404", root(), 404, at("/-/manage-plugins/nobody")},
	)
}

func TestDecidingWithAMouse(t *testing.T) {
	t.Parallel()
	decide(open(t, startAsking(t)), mouse{})
}

func TestDecidingWithAKeyboardOnAPhone(t *testing.T) {
	t.Parallel()
	b := open(t, startAsking(t))
	b.look(phone, dark)
	decide(b, keyboard{})
}

func TestDecidingWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b := open(t, startAsking(t))
	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	decide(b, mouse{})
}

// decide is what somebody does who finds that plugins ask for something.
func decide(b *tab, h hands) {
	b.t.Helper()
	b.signIn(keeper())
	b.visit("/")
	h.press(b, "4 plugin requests")
	b.shows("Asks for", "MAP_KEY", "also used by demo", "says who is signed in", "not asked for any more")

	h.press(b, "Approve the other 2")
	b.shows("weather may now read MAP_KEY, read TILES_KEY", "2 requests of plugins")
	b.is(b.follow(chromedp.Reload()).Status, http.StatusOK) // and nothing is sent again
	b.lacks("weather may now")

	h.press(b, "Share…")
	b.shows("Share DEMO_API_KEY with weather", "may be read by demo")
	h.press(b, "Leave it")
	b.shows("2 requests of plugins")
	h.press(b, "Share…")
	h.press(b, "Share secret")
	b.shows("weather may now read DEMO_API_KEY", "1 request of plugins")

	h.press(b, "Refuse") // of what is left: to sign people in
	b.shows("weather may not use the hook authenticator", "Was refused")
	b.lacks("of plugins waiting")

	b.visit("/-/manage-plugins/weather/disable")
	h.press(b, "Disable plugin")
	b.shows("weather is disabled", "Disabled", "by keeper")
	h.press(b, "Enable")
	b.shows("weather is enabled")
	b.visit("/-/manage-plugins/weather")
	b.shows("Shared", "secret DEMO_API_KEY", "by keeper", "by amy at the command line", "Granted on first use", "an administrator disables the plugin")
}

// lacks checks that a page does not say something.
func (b *tab) lacks(text string) {
	b.t.Helper()
	if strings.Contains(b.text(), text) {
		b.t.Errorf("the page says %q\n%s", text, b.where())
	}
}
