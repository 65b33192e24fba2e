package ui_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
	"github.com/datasette-secrets/datasette-secrets/internal/ui"
)

// hooked builds a world with plugins that do what hooks say.
func hooked(hooks ui.Hooks, change ...func(*options)) []func(*options) {
	return append([]func(*options){demo, func(o *options) { o.ui.Hooks = hooks }}, change...)
}

func TestMenuLinksOfPlugins(t *testing.T) {
	t.Parallel()
	var asked []string
	hooks := ui.Hooks{MenuLinks: func(_ context.Context, actor secrets.Actor) []secrets.MenuLink {
		asked = append(asked, actor.ID())
		return []secrets.MenuLink{
			{Plugin: "a", URL: "/-/plugins/a/", Label: `<b>one</b>`}, {Plugin: "a", URL: "/base/-/plugins/a/two?x=1&y", Label: "two"},
			{Plugin: "b", URL: "https://example.com/", Label: "three"}, {Plugin: "b", URL: "javascript:pwned()", Label: "four"},
		}
	}}
	w := newWorld(t, hooked(hooks, func(o *options) {
		o.sets = [][2]string{{"base_url", "/base/"}}
		o.permissions["view-instance"] = map[string]any{"id": "*"}
	})...)
	page := w.get("/base/-/secrets", w.as("root"))
	page.want(t, 200, `<ul aria-label="Plugin a">`, `<a href="/base/-/plugins/a/" rel="noopener noreferrer">&lt;b&gt;one&lt;/b&gt;</a>`,
		`<a href="/base/-/plugins/a/two?x=1&amp;y" rel="noopener noreferrer">two</a>`, `<ul aria-label="Plugin b">`, `<a href="https://example.com/"`)
	page.lacks(t, "<b>one</b>", "javascript:")
	w.get("/base/", w.as("stranger")).want(t, 200, "three")
	w.get("/base/-/nowhere", w.as("stranger")).want(t, 404)
	w.get("/base/").lacks(t, "three") // may not see the host, nor what its plugins are
	w.get("/base/favicon.ico", w.as("root")).want(t, 200)
	if !slices.Equal(asked, []string{"root", "stranger"}) {
		t.Errorf("asked for %q", asked)
	}
}

func TestNamesOfPeople(t *testing.T) {
	t.Parallel()
	known := map[string]secrets.Actor{
		"admin":  {"id": "admin", "name": `Ada <i>`},
		"root":   {"id": "root", "name": "Somebody else"},
		"7":      {"id": "7", "display": "root"},
		"badger": {"id": "badger", "name": "a\nb"},
		"long":   {"id": "long", "name": strings.Repeat("x", 200)},
	}
	hooks := ui.Hooks{Actors: func(_ context.Context, ids []string) map[string]secrets.Actor {
		found := map[string]secrets.Actor{}
		for _, id := range ids {
			if actor, ok := known[id]; ok {
				found[id] = actor
			}
		}
		return found
	}}
	w := newWorld(t, hooked(hooks, func(o *options) {
		o.permissions["manage-secrets"] = true
		o.allowUndeclared = true
	})...)
	for i, id := range []string{"admin", "root", "7", "badger", "long"} {
		w.post(fmt.Sprintf("/-/secrets/OF_%d", i), w.as(id), "secret", "v").want(t, 302)
	}
	list := w.get("/-/secrets", w.as("root"))
	list.want(t, 200, `<td data-label="Updated by"><span title="admin">Ada &lt;i&gt;</span></td>`, `<td data-label="Updated by">root</td>`,
		`<td data-label="Updated by">7</td>`, `<td data-label="Updated by">badger</td>`, `<td data-label="Updated by">long</td>`)
	list.lacks(t, "Somebody else", "<i>")
	w.get("/-/secrets/OF_0", w.as("root")).want(t, 200, `<span class="by" title="admin">by Ada &lt;i&gt;</span>`)
	w.get("/-/secrets/OF_1", w.as("root")).want(t, 200, `<span class="by">by root</span>`)
	w.post("/-/secrets/OF_0/-/delete", w.as("admin")).want(t, 302)
	w.get("/-/secrets/OF_0", w.as("root")).want(t, 200, `<td data-label="Deleted">`, `<span class="by" title="admin">by Ada &lt;i&gt;</span>`)
}

func TestSendersThatPluginsKnow(t *testing.T) {
	t.Parallel()
	var asked []string
	hooks := ui.Hooks{Sender: func(_ context.Context, method, path string, header http.Header) secrets.Actor {
		asked = append(asked, method+" "+path)
		if user := header.Get("X-User"); user != "" {
			return secrets.Actor{"id": user, "name": "The " + user}
		}
		return nil
	}}
	w := newWorld(t, hooked(hooks, func(o *options) {
		o.sets = [][2]string{{"base_url", "/base/"}}
		o.permissions["manage-plugins"] = map[string]any{"id": "admin"}
	})...)
	proxied := header("X-User", "admin")

	w.get("/base/-/actor.json?x=1", proxied).want(t, 200, `"id": "admin"`)
	w.get("/base/-/secrets", proxied).want(t, 200, "<strong>The admin</strong>")
	w.post("/base/-/secrets/ONE", proxied, "secret", "v").want(t, 302)
	w.get("/base/-/secrets", w.as("root")).want(t, 200, `<td data-label="Updated by">admin</td>`)
	w.get("/base/-/actor.json").want(t, 200, `"actor": null`)
	w.get("/base/-/secrets", header("X-User", "stranger")).want(t, 403)
	w.do("POST", "/base/-/secrets/ONE", "secret=x", proxied, header("Origin", "https://evil.example")).want(t, 403)
	if want := []string{"GET /-/actor.json", "GET /-/secrets", "POST /-/secrets/ONE", "GET /-/actor.json", "GET /-/secrets"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}

	// Whoever brings a cookie or a token has said who they are.
	asked = nil
	w.get("/base/-/actor.json", w.as("stranger"), proxied).want(t, 200, `"id": "stranger"`)
	w.get("/base/-/actor.json", w.token(signing.Token{Actor: "stranger", Created: w.now.Unix()}), proxied).want(t, 200, `"id": "stranger"`)
	w.get("/base/-/actor.json", header("Authorization", "Bearer dstok_forged"), proxied).want(t, 401)
	w.get("/base/favicon.ico", proxied).want(t, 200)
	if len(asked) > 0 {
		t.Errorf("asked about %q", asked)
	}
	w.get("/base/-/actor.json", header("Cookie", "ds_actor=forged"), proxied).want(t, 200, `"id": "admin"`)

	// Their rights end with the plugin's.
	w.get("/base/-/plugins", w.as("admin")).want(t, 200, "/base/-/manage-plugins/demo")
	w.get("/base/-/plugins", proxied).lacks(t, "manage-plugins")
	w.get("/base/-/manage-plugins/demo", proxied).want(t, 403)
	w.post("/base/-/manage-plugins/demo/disable", proxied).want(t, 403)
	w.get("/base/-/create-token", w.as("admin")).want(t, 200)
	w.get("/base/-/create-token", proxied).want(t, 403, "A plugin signed you in")
	w.post("/base/-/create-token", proxied).want(t, 403)
	w.get("/base/-/secrets", proxied).lacks(t, "create-token")
}

// tester is a plugin that tests values.
type tester struct {
	mu     sync.Mutex
	names  []string
	result secrets.TestResult
	err    error
	asked  []string
}

func (p *tester) hooks() ui.Hooks {
	return ui.Hooks{
		Validators: func(_ context.Context, name string) []string {
			if name == "TWO" {
				return nil
			}
			return p.names
		},
		TestSecret: func(_ context.Context, caller secrets.Caller, plugin, name string) (secrets.TestResult, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked = append(p.asked, fmt.Sprintf("%s %s by %s, %s%s", plugin, name, caller.Actor.ID(), caller.Proof, caller.Plugin))
			return p.result, p.err
		},
	}
}

func TestTestOfAValue(t *testing.T) {
	t.Parallel()
	p := &tester{names: []string{"weather"}, result: secrets.TestResult{OK: true, Message: `<b>good</b>`}}
	w := newWorld(t, hooked(p.hooks())...)
	const button, path = "Test this value", "/-/secrets/ONE/-/test"
	w.get("/-/secrets/ONE", w.as("root")).lacks(t, button) // nothing is stored
	w.set("ONE", "hunter2", "")
	w.set("TWO", "hunter2", "")
	w.get("/-/secrets/ONE", w.as("root")).want(t, 200, button, `action="`+path+`" method="post"`, "<strong>weather</strong>")
	w.get("/-/secrets/TWO", w.as("root")).lacks(t, button)
	if len(p.asked) > 0 {
		t.Errorf("looking at a page tests a value: %v", p.asked)
	}

	tested := w.post(path, w.as("root"))
	tested.wantRedirect(t, "/-/secrets/ONE")
	if got := w.flash(tested); len(got) != 1 || got[0] != (signing.Message{Text: "Plugin weather says that ONE works: <b>good</b>", Type: signing.Info}) {
		t.Errorf("flashed %v", got)
	}
	value, _ := tested.cookie("ds_messages")
	shown := w.get("/-/secrets/ONE", w.as("root"), header("Cookie", "ds_messages="+value))
	shown.want(t, 200, "says that ONE works: &lt;b&gt;good&lt;/b&gt;")
	shown.lacks(t, "<b>good</b>", "hunter2")

	p.result = secrets.TestResult{}
	if got := w.flash(w.post(path, w.as("root"))); len(got) != 1 || got[0] != (signing.Message{Text: "Plugin weather says that ONE does not work", Type: signing.Error}) {
		t.Errorf("flashed %v", got)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: it did not answer TestSecret within 5s", secrets.ErrUnavailable), "Plugin weather could not test ONE: It did not answer TestSecret within 5s"},
		{secrets.ErrNotApproved, "Plugin weather could not test ONE: Permission denied"},
		{secrets.ErrIntegrity, "Plugin weather could not test ONE: The stored secret cannot be read"},
		{fmt.Errorf("hunter2"), "Plugin weather could not test ONE: Something went wrong inside this host"},
	} {
		p.err = c.err
		if got := w.flash(w.post(path, w.as("root"))); len(got) != 1 || got[0].Type != signing.Warning || !strings.HasPrefix(got[0].Text, c.want) || strings.Contains(got[0].Text, "hunter2") {
			t.Errorf("flashed %v, want %q", got, c.want)
		}
	}
	p.err = nil
	if got := w.flash(w.post("/-/secrets/TWO/-/test", w.as("root"))); len(got) != 1 || got[0].Text != "No plugin tests the value of TWO now" {
		t.Errorf("flashed %v", got)
	}
	p.names = []string{"a", "b", "c", "d", "e"}
	p.result = secrets.TestResult{Message: strings.Repeat("é", 150)}
	many := w.post(path, w.as("root"))
	if got := w.flash(many); len(got) != 3 || !strings.HasPrefix(got[2].Text, "Plugin c ") {
		t.Errorf("flashed %v", got)
	}
	if _, line := many.cookie("ds_messages"); len(line) > 4000 {
		t.Errorf("the cookie of %d bytes is too large for a browser", len(line))
	}
}

func TestTestAfterSaving(t *testing.T) {
	t.Parallel()
	p := &tester{names: []string{"weather"}, result: secrets.TestResult{OK: true}}
	w := newWorld(t, hooked(p.hooks(), func(o *options) {
		o.env = map[string]string{"DATASETTE_SECRETS_ENVIRONS": "x"}
		o.allowUndeclared = true
	})...)
	saved := w.post("/-/secrets/ONE", w.as("admin"), "secret", "hunter2")
	saved.wantRedirect(t, "/-/secrets")
	if got := w.flash(saved); len(got) != 2 || got[0].Text != "Secret ONE updated" || got[1].Text != "Plugin weather says that ONE works" {
		t.Errorf("flashed %v", got)
	}
	w.post("/-/secrets/ONE", w.as("admin"), "note", "only the note").want(t, 302)
	w.post("/-/secrets/TWO", w.as("admin"), "secret", "nobody tests it").want(t, 302)
	if want := []string{"weather ONE by admin, signed-in"}; !slices.Equal(p.asked, want) {
		t.Errorf("asked %q, want %q", p.asked, want)
	}
	p.err = secrets.ErrUnavailable
	if got := w.flash(w.post("/-/secrets/ONE", w.as("admin"), "secret", "hunter3")); len(got) != 2 || w.value("ONE") != "hunter3" {
		t.Errorf("a failing test: %v", got)
	}
	// A variable is what is in use, whatever is stored.
	p.asked = nil
	w.get("/-/secrets/ENVIRONS", w.as("admin")).want(t, 200, "Test this value")
	if got := w.flash(w.post("/-/secrets/ENVIRONS", w.as("admin"), "secret", "hunter2")); len(got) != 1 || len(p.asked) > 0 {
		t.Errorf("flashed %v, asked %v", got, p.asked)
	}
}

func TestWhoMayTestAValue(t *testing.T) {
	t.Parallel()
	p := &tester{names: []string{"weather"}, result: secrets.TestResult{OK: true}}
	w := newWorld(t, hooked(p.hooks())...)
	w.set("ONE", "hunter2", "")
	nothing := func(*http.Request) {}
	const path = "/-/secrets/ONE/-/test"
	w.post(path, nothing).want(t, 403)
	w.post(path, w.as("stranger")).want(t, 403)
	w.do("POST", path, "", w.as("root"), header("Origin", "https://evil.example")).want(t, 403)
	w.do("POST", path, "", w.as("root"), header("Origin", "null")).want(t, 403)
	w.do("POST", path, "", w.as("root"), header("Sec-Fetch-Site", "cross-site")).want(t, 403)
	w.post("/-/secrets/UNKNOWN/-/test", w.as("root")).want(t, 404)
	w.get(path, w.as("root")).wantRedirect(t, "/-/secrets/ONE")
	w.do("PUT", path, "", w.as("root")).want(t, 405)
	if len(p.asked) > 0 {
		t.Errorf("asked %v", p.asked)
	}
}
