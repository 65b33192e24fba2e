package ui_test

import (
	"net/http"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
)

// oneManager lets bob manage ONE only, and keeps it for the plugin "other".
func oneManager(o *options) {
	demo(o)
	o.allow = true
	o.permissions["datasette-secret"] = map[string]any{"roles": []any{"staff"}}
	o.permissions["permissions-debug"] = map[string]any{"id": "root"}
	o.rules = map[string]access.SecretConfig{"ONE": {
		Permissions: map[string]any{
			"manage-secrets":   map[string]any{"id": []any{"root", "bob"}},
			"datasette-secret": map[string]any{"id": "root"},
		},
		Plugins: []string{"other"},
	}}
}

// TestManagerOfOneSecretSeesOnlyThat: the list has that secret alone, its page
// works, and every other page of secrets, plugins and keys is refused.
func TestManagerOfOneSecretSeesOnlyThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneManager)
	w.set("ONE", "first", "")
	w.set("ONE", "value", "")
	bob := w.as("bob")
	home := w.get("/", bob)
	home.want(t, http.StatusOK, `href="/-/secrets"`)
	list := w.get("/-/secrets", bob)
	list.want(t, http.StatusOK, `<a href="/-/secrets/ONE">ONE</a>`)
	list.lacks(t, "TWO")
	w.get("/-/secrets?q=TWO", bob).lacks(t, "/-/secrets/TWO", "The second")
	w.get("/-/secrets/ONE", bob).want(t, http.StatusOK, "Update secret")
	w.post("/-/secrets/ONE", bob, "secret", "mine").wantRedirect(t, "/-/secrets")
	w.post("/-/secrets/ONE/-/restore?version=1", bob, "version", "1").want(t, http.StatusFound)
	for _, address := range []string{
		"/-/secrets/TWO", "/-/secrets/two", "/-/secrets/NOBODY", "/-/secrets/one", "/-/secrets/ONE%20", "/-/secrets/%4fNE",
		"/-/secrets/TWO/-/delete", "/-/secrets/TWO/-/restore?version=1", "/-/unseal", "/-/actions", "/-/actions.json",
		"/-/manage-plugins/demo", "/-/manage-plugins/demo/approve?secret:TWO=on", "/-/secrets/-/log?name=TWO", "/-/secrets/-/log.json", "/-/secrets/-/log.csv",
	} {
		page := w.get(address, bob)
		if page.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d", address, page.StatusCode)
		}
		page.lacks(t, "The second")
	}
	for _, address := range []string{
		"/-/secrets/TWO", "/-/secrets/NOBODY", "/-/secrets/TWO/-/delete", "/-/secrets/TWO/-/restore", "/-/secrets/TWO/-/test", "/-/unseal",
		"/-/manage-plugins/demo/approve", "/-/manage-plugins/demo/disable",
	} {
		w.post(address, bob, "secret", "mine", "note", "mine", "version", "1", "secret:TWO", "on", "key", "k").want(t, http.StatusForbidden)
	}
	w.get("/-/secrets/-/log", bob).lacks(t, "TWO")
	w.get("/-/secrets/-/log?name=ONE", bob).want(t, http.StatusOK, "put")
	plugins := w.get("/-/plugins", bob)
	plugins.want(t, http.StatusOK)
	plugins.lacks(t, "TWO", "Approve")
	if s := w.get("/-/secrets", w.as("mallory")); s.StatusCode != http.StatusForbidden || strings.Contains(w.get("/", w.as("mallory")).body, `href="/-/secrets"`) {
		t.Errorf("who manages nothing: %d", s.StatusCode)
	}
	// Whom the rule of the secret leaves out does not see it, whatever else they manage.
	admin := w.get("/-/secrets", w.as("admin"))
	admin.want(t, http.StatusOK, "TWO")
	admin.lacks(t, "/-/secrets/ONE")
	w.get("/-/secrets/ONE", w.as("admin")).want(t, http.StatusForbidden)
	w.post("/-/secrets/ONE/-/delete", w.as("admin")).want(t, http.StatusForbidden)
}

// TestWhoMayUseIt: the page of a secret says the same as explain and who-can.
func TestWhoMayUseIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneManager)
	ok(t, w.vault.Introduce(t.Context(), vault.Introduction{Plugin: "other", Declarations: []secrets.Declaration{{Name: "ONE"}}}))
	const path = "plugins.datasette-secrets.secrets.ONE"
	page := w.get("/-/secrets/ONE", w.as("bob"))
	page.want(t, http.StatusOK, "Who may use it", "It is only for those on its lists",
		path+".plugins does not name the plugin demo", "Granted to this plugin",
		path+".permissions.datasette-secret does not match this actor",
		`{&#34;id&#34;:&#34;root&#34;}`, path+".permissions.datasette-secret</span>",
		"permissions.datasette-secret, replaced by the rule of this secret", `{&#34;id&#34;:[&#34;root&#34;,&#34;bob&#34;]}`)
	w.get("/-/secrets/ONE", w.as("root")).want(t, http.StatusOK, path+".permissions.datasette-secret matches this actor")
	free := newWorld(t, demo).get("/-/secrets/ONE", w.as("root"))
	free.want(t, http.StatusOK, "Granted to this plugin", "<dt>On behalf of</dt><dd>everybody</dd>", "datasette-secret is allowed by default")
	free.lacks(t, "on its lists", "replaced")
}

// TestActionsOfSecrets: /-/actions lists the new action, about a resource, and
// upstream's as upstream does.
func TestActionsOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneManager)
	w.get("/-/actions", w.as("root")).want(t, http.StatusOK, "datasette-secret", "Have a secret used on one")
	w.get("/-/actions.json", w.as("root")).want(t, http.StatusOK,
		`{"name": "datasette-secret", "abbr": null, "description": "Have a secret used on one's behalf", "takes_parent": true, "takes_child": false, "resource_class": "SecretResource", "also_requires": null}`,
		`{"name": "manage-secrets", "abbr": null, "description": "Manage Datasette secrets", "takes_parent": false, "takes_child": false, "resource_class": null, "also_requires": null}`)
}
