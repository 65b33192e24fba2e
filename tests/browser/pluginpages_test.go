package browser_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// startWeather starts a host with the plugin that offers everything, in its
// sandbox, and a secret of it.
func startWeather(t *testing.T) *harness.Process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "datasette.yml")
	writeFile(t, config, "permissions: {manage-secrets: {id: [root, amy]}}")
	host := harness.Start(t, harness.Options{Args: []string{
		"--plugins-dir", harness.PluginDir(t, "weather", "tests/testdata/plugins/weather"), "-c", config, "--root",
		"--internal", filepath.Join(t.TempDir(), "internal.db"),
	}})
	if answer := host.SetSecret(t, "WEATHER_KEY", "wk-"+canary, "mine", root()); answer.StatusCode != http.StatusFound {
		t.Fatalf("%s\n%s", answer.Status, answer.Text)
	}
	return host
}

func TestPagesOfAPlugin(t *testing.T) {
	t.Parallel()
	b := open(t, startWeather(t))
	b.signIn(root())
	b.visit("/-/secrets")
	mouse{}.unfold(b, "Menu")
	b.shows("weather", "Weather for root")
	if strings.Contains(b.text(), "Never there") {
		t.Error("a link that is a script is in the menu")
	}
	b.is(mouse{}.press(b, "Weather for root").Status, http.StatusOK)
	b.arrived("/-/plugins/weather/", "Hello root")
	if color := eval[string](b, `getComputedStyle(document.querySelector("h1")).color`); color != "rgb(1, 2, 3)" {
		t.Errorf("its own style sheet is not used: %s", color)
	}
	mouse{}.enter(b, "Note", "bring an umbrella")
	mouse{}.press(b, "Keep")
	b.arrived("/-/plugins/weather/", "bring an umbrella by root")
	b.visit("/-/plugins/weather/secret")
	b.shows("used it: true")
	b.visit("/-/secrets/WEATHER_KEY")
	b.shows("by root")
	b.visit("/-/plugins/weather/scripted")
	b.until(`document.querySelector("h1").textContent === "it is 21 degrees"`)
}

func TestTestThisValue(t *testing.T) {
	t.Parallel()
	b := open(t, startWeather(t))
	b.signIn(root())
	b.visit("/-/secrets/WEATHER_KEY")
	mouse{}.press(b, "Test this value")
	b.arrived("/-/secrets/WEATHER_KEY", "Plugin weather says that WEATHER_KEY works: a key of ")
	mouse{}.enter(b, "Secret", "wrong-"+canary)
	mouse{}.press(b, "Update secret")
	b.arrived("/-/secrets", "Secret WEATHER_KEY updated", "Plugin weather says that WEATHER_KEY does not work: keys begin with wk-, this one is [redacted]")
	mouse{}.press(b, "WEATHER_KEY")
	mouse{}.enter(b, "Secret", "panic")
	mouse{}.press(b, "Update secret")
	b.arrived("/-/secrets", "Plugin weather could not test WEATHER_KEY")
	if strings.Contains(b.text(), canary) {
		t.Error("a page shows the value")
	}
}

func TestNamesOfPeopleInTheList(t *testing.T) {
	t.Parallel()
	host := startWeather(t)
	if answer := host.SetSecret(t, "WEATHER_KEY", "wk-1", "hers", amy()); answer.StatusCode != http.StatusFound {
		t.Fatal(answer.Status)
	}
	b := open(t, host)
	b.signIn(root())
	b.visit("/-/secrets")
	if title := eval[string](b, `[...document.querySelectorAll("td span")].find((e) => e.textContent === "Amy Johnson").title`); title != "amy" {
		t.Errorf("her id is %q", title)
	}
}

// unchanged checks that the secret is what it was.
func unchanged(t *testing.T, host *harness.Process) {
	t.Helper()
	page := host.Get(t, "/-/secrets/WEATHER_KEY", root()).Text
	if !strings.Contains(page, `value="mine"`) || strings.Contains(page, "owned") || strings.Contains(page, "version 2") {
		t.Errorf("the secret changed:\n%s", page)
	}
}

// Without leave for scripts, a page has forms and links, and they lead nowhere
// else with what is typed.
func TestAttackOfAPageWithoutScripts(t *testing.T) {
	t.Parallel()
	host := startWeather(t)
	for _, button := range []string{"Win", "Win more", "Win elsewhere", "Bounce"} {
		t.Run(button, func(t *testing.T) {
			t.Parallel()
			b := openUnheard(t, host)
			b.signIn(root())
			b.visit("/-/plugins/weather/forms")
			b.shows(button)
			if button == "Bounce" {
				b.is(mouse{}.press(b, button).Status, http.StatusBadGateway)
				b.shows("leads to an address outside its pages")
				unchanged(t, host)
				return
			}
			b.do(chromedp.Click(target(button)), chromedp.Click("//*[@id='ping']"))
			b.until(`location.href.endsWith("#")`)
			b.shows(button)
			if title := eval[string](b, "document.title"); title != "Prizes" {
				t.Errorf("a script ran: %s", title)
			}
			if heard := strings.Join(b.heard(), "\n"); !strings.Contains(heard, "form-action") {
				t.Errorf("the browser does not say that it refused the form, but: %s", heard)
			}
			unchanged(t, host)
			b.visit("/-/secrets")
			b.shows("mine") // still signed in
		})
	}
}

// A page with scripts is a stranger to the host, whatever it tries.
func TestAttackOfAPageWithScripts(t *testing.T) {
	t.Parallel()
	host := startWeather(t)
	b := openUnheard(t, host)
	b.signIn(root())
	b.visit("/-/plugins/weather/scripts")
	b.until(`document.title === "tried"`)
	outcomes := eval[map[string]string](b, "outcomes")
	if len(outcomes) != 18 || outcomes["origin"] != "got null" {
		t.Errorf("outcomes: %v", outcomes)
	}
	for name, outcome := range outcomes {
		// Of a beacon a script learns only that it was tried.
		if outcome != "refused" && name != "origin" && name != "beacon" {
			t.Errorf("%s: %.300s", name, outcome)
		}
	}
	unchanged(t, host)
	b.heard()
	for _, to := range []string{"/-/secrets/WEATHER_KEY", "/-/secrets/WEATHER_KEY/-/delete", "/-/logout", "/-/plugins/other/"} {
		b.visit("/-/plugins/weather/posts?to=" + url.QueryEscape(to))
		if heard := strings.Join(b.heard(), "\n"); !strings.Contains(heard, "form-action") {
			t.Errorf("%s: the browser does not say that it refused the form, but: %s", to, heard)
		}
	}
	for _, to := range []string{"/-/plugins/weather/note", "note"} {
		b.do(chromedp.Navigate(host.URL + "/-/plugins/weather/posts?to=" + url.QueryEscape(to)))
		b.until(`document.body?.innerText.includes("Form origin check failed")`)
	}
	unchanged(t, host)
	b.visit("/-/plugins/weather/")
	b.shows("Hello root")
	if strings.Contains(b.text(), " by ") {
		t.Errorf("a form of a stranger reached the plugin:\n%s", b.text())
	}
}
