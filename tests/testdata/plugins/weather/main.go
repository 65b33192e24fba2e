// Command weather is a plugin that offers everything a plugin can, and whose
// pages then turn against the administrator who looks at them.
package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

const keyName = "WEATHER_KEY"

func main() { pluginapi.Serve(&weather{}) }

type weather struct {
	mu    sync.Mutex
	notes []string
}

func (*weather) RegisterSecrets(context.Context) ([]pluginapi.Secret, error) {
	return []pluginapi.Secret{{Name: keyName, Description: "Key of the weather service"}}, nil
}

func (*weather) TestSecret(_ context.Context, _ string, key pluginapi.Value) (pluginapi.TestResult, error) {
	switch {
	case key.Reveal() == "panic":
		panic("no weather today")
	case !strings.HasPrefix(key.Reveal(), "wk-"):
		return pluginapi.TestResult{Message: "keys begin with wk-, this one is " + key.Reveal()}, nil
	}
	return pluginapi.TestResult{OK: true, Message: fmt.Sprintf("a key of %d letters", key.Len())}, nil
}

func (*weather) MenuLinks(ctx context.Context, actor pluginapi.Actor) ([]pluginapi.MenuLink, error) {
	if actor == nil {
		return nil, nil
	}
	return []pluginapi.MenuLink{
		{Href: "/-/plugins/weather/", Label: "Weather for " + actor.Display()},
		{Href: "javascript:document.title='pwned'", Label: "Never there"},
	}, nil
}

func (*weather) ActorsFromIDs(_ context.Context, ids []string) (map[string]pluginapi.Actor, error) {
	actors := map[string]pluginapi.Actor{}
	for _, id := range ids {
		if id == "amy" {
			actors[id] = pluginapi.Actor{"id": id, "name": "Amy Johnson"}
		}
	}
	return actors, nil
}

func (*weather) ActorFromRequest(_ context.Context, r *pluginapi.RequestMeta) (pluginapi.Actor, error) {
	if user := r.Headers["x-forwarded-user"]; user != "" {
		return pluginapi.Actor{"id": user}, nil
	}
	return nil, nil
}

func (p *weather) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		p.home(w, r)
	case "/note":
		p.note(w, r)
	case "/secret":
		_, err := pluginapi.HostFromContext(r.Context()).GetSecret(r.Context(), keyName, "")
		fmt.Fprintf(w, "used it: %t, not set: %t", err == nil, errors.Is(err, pluginapi.ErrNotSet))
	case "/style.css":
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, "h1 { color: rgb(1, 2, 3); }")
	case "/app.js":
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "document.title = 'pwned'")
	case "/forms":
		fmt.Fprint(w, formsPage)
	case "/bounce":
		http.Redirect(w, r, "http://"+r.URL.Query().Get("host")+"/-/secrets/"+keyName, http.StatusTemporaryRedirect)
	case "/scripts":
		w.Header().Set("Content-Security-Policy", "sandbox allow-scripts allow-same-origin; default-src *")
		fmt.Fprint(w, scriptsPage)
	case "/posts":
		w.Header().Set("Content-Security-Policy", "sandbox allow-scripts")
		fmt.Fprintf(w, postsPage, html.EscapeString(r.URL.Query().Get("to")))
	case "/scripted":
		w.Header().Set("Content-Security-Policy", "sandbox allow-scripts")
		fmt.Fprint(w, `<!DOCTYPE html><title>Sums</title><h1>waiting</h1><script>document.querySelector("h1").textContent = "it is " + (20 + 1) + " degrees"</script>`)
	default:
		http.NotFound(w, r)
	}
}

func (p *weather) home(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	actor := pluginapi.ActorFromContext(r.Context())
	fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>Weather</title><link rel="stylesheet" href="style.css">
<h1>Hello %s</h1><p>Notes: %s</p>
<form method="post" action="note"><label for="note">Note</label> <input id="note" name="note"> <button>Keep</button></form>`,
		html.EscapeString(actor.ID()), html.EscapeString(strings.Join(p.notes, ", ")))
}

func (p *weather) note(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.notes = append(p.notes, r.PostFormValue("note")+" by "+pluginapi.ActorFromContext(r.Context()).ID())
	p.mu.Unlock()
	http.Redirect(w, r, "./", http.StatusSeeOther)
}

// formsPage has no leave to run scripts, and tries what is left.
const formsPage = `<!DOCTYPE html><html lang="en"><title>Prizes</title>
<script>document.title = "pwned"</script><script src="app.js"></script>
<img src="x" onerror="document.title = 'pwned'"><svg onload="document.title = 'pwned'"></svg>
<meta http-equiv="refresh" content="0; url=javascript:document.title='pwned'">
<iframe src="/-/secrets"></iframe><object data="/-/secrets"></object>
<a href="javascript:document.title='pwned'">Script</a>
<a id="ping" href="#" ping="/-/logout">Ping</a>
<form method="post" action="/-/secrets/WEATHER_KEY"><input name="secret" value="owned"><button>Win</button></form>
<form method="post" action="note"><input name="secret" value="owned"><button formaction="/-/secrets/WEATHER_KEY/-/delete">Win more</button></form>
<form method="post" action="/-/plugins/other/"><button>Win elsewhere</button></form>
<form method="post" action="bounce?host=127.0.0.1"><input name="secret" value="owned"><button>Bounce</button></form>`

// scriptsPage tries everything that a script can, and says what came of it.
const scriptsPage = `<!DOCTYPE html><html lang="en"><title>Trying</title><body><script>
const host = location.origin === "null" ? location.href.split("/-/")[0] : location.origin;
const body = new URLSearchParams({secret: "owned", note: "owned"});
const attempts = {
	origin: async () => self.origin,
	cookie: async () => document.cookie,
	storage: async () => String(localStorage),
	get: async () => (await fetch(host + "/-/secrets", {credentials: "include"})).text(),
	blind: async () => (await fetch(host + "/-/secrets", {credentials: "include", mode: "no-cors"})).type,
	post: async () => (await fetch(host + "/-/secrets/WEATHER_KEY", {method: "POST", credentials: "include", body})).text(),
	blindPost: async () => (await fetch(host + "/-/secrets/WEATHER_KEY", {method: "POST", credentials: "include", mode: "no-cors", body})).type,
	beacon: async () => navigator.sendBeacon(host + "/-/secrets/WEATHER_KEY", body) || Promise.reject("refused"),
	own: async () => (await fetch(host + "/-/plugins/weather/", {credentials: "include"})).text(),
	xhr: () => new Promise((done, fail) => {
		const x = new XMLHttpRequest();
		x.onload = () => done(x.responseText); x.onerror = () => fail("refused");
		x.open("POST", host + "/-/secrets/WEATHER_KEY"); x.withCredentials = true; x.send(body);
	}),
	script: () => load("script", "src", host + "/-/plugins/weather/app.js"),
	image: () => load("img", "src", host + "/favicon.ico"),
	style: () => load("link", "href", host + "/-/plugins/weather/style.css"),
	popup: async () => window.open(host + "/-/secrets") ? "opened" : Promise.reject("refused"),
	worker: async () => new Worker(host + "/-/plugins/weather/app.js") && "made",
	service: async () => (await navigator.serviceWorker.register(host + "/-/plugins/weather/app.js")).scope,
	socket: () => new Promise((done, fail) => {
		const s = new WebSocket(host.replace("http", "ws") + "/-/plugins/weather/");
		s.onopen = () => done("open"); s.onerror = () => fail("refused");
	}),
	frame: () => new Promise((done, fail) => {
		const f = document.createElement("iframe");
		f.onload = () => { try { done(f.contentWindow.document.body.innerText); } catch { fail("refused"); } };
		f.src = host + "/-/secrets"; document.body.append(f);
		setTimeout(() => fail("nothing"), 1000);
	}),
};
function load(tag, attribute, address) {
	return new Promise((done, fail) => {
		const e = document.createElement(tag);
		e.rel = "stylesheet"; e.onload = () => done(tag + " loaded"); e.onerror = () => fail("refused");
		e[attribute] = address; document.body.append(e);
	});
}
(async () => {
	window.outcomes = {};
	for (const [name, attempt] of Object.entries(attempts)) {
		try { outcomes[name] = "got " + await attempt(); } catch { outcomes[name] = "refused"; }
	}
	document.title = "tried";
})();
</script>`

// postsPage sends a form by script, to where the test says.
const postsPage = `<!DOCTYPE html><html lang="en"><title>Posting</title>
<form method="post" action="%s"><input name="secret" value="owned"><input name="note" value="owned"></form>
<script>document.forms[0].submit()</script>`
