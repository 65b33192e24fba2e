package tests

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const permissionConfig = `
permissions:
  manage-secrets: {id: root}
  datasette-secret: {id: alice}
plugins:
  datasette-secrets:
    secrets:
      SHARED_KEY:
        permissions: {datasette-secret: true}
        plugins: [billing]
`

// The permissions of real plugins in a running host: an actor is believed when
// the plugin proves it, restrictions come with it, and a list keeps out who was
// approved all the same.
func TestOnWhoseBehalf(t *testing.T) {
	t.Parallel()
	dir, plugins := t.TempDir(), t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), permissionConfig, 0o600)
	harness.AddPlugin(t, plugins, "weather", "tests/testdata/plugins/weather")
	billing := harness.AddProbe(t, plugins, "billing", pluginapi.Secret{Name: "LEDGER_KEY"}, pluginapi.Secret{Name: "SHARED_KEY"})
	outsider := harness.AddProbe(t, plugins, "outsider", pluginapi.Secret{Name: "SHARED_KEY"})
	host := harness.Start(t, harness.Options{
		Dir: dir, Args: append(append(billing.Args, outsider.Args...), "-c", "datasette.yml", "--internal", "internal.db"),
	})
	for _, name := range []string{"WEATHER_KEY", "LEDGER_KEY", "SHARED_KEY"} {
		if r := host.SetSecret(t, name, "value of "+name, "", secrets.NewActor("root")); r.StatusCode != 302 {
			t.Fatalf("%s: %s", name, r.Status)
		}
	}
	command(t, dir, "plugin", "approve", "outsider", "--secret", "SHARED_KEY")

	for _, c := range []struct {
		actor string
		want  bool
	}{
		{`{"id": "alice"}`, true},
		{`{"id": "bob"}`, false},
		{`{"id": "root"}`, false},
		{`{"id": ["alice"], "name": "alice"}`, true}, // as Datasette has it
		{`{"id": {"id": "alice"}}`, false},
		{`{"id": "alice", "_r": {"a": ["vi"]}}`, false},
		{`{"id": "alice", "_r": {"a": ["vi"], "r": {"secrets": {"WEATHER_KEY": ["datasette-secret"]}}}}`, false},
		{`{"id": "alice", "_r": {"a": ["vi", "datasette-secret"]}}`, true},
		{`{"id": "bob", "_r": {"a": ["vi", "datasette-secret"]}}`, false},
	} {
		var actor secrets.Actor
		if err := json.Unmarshal([]byte(c.actor), &actor); err != nil {
			t.Fatal(err)
		}
		page := host.Get(t, "/-/plugins/weather/secret", actor)
		if got := strings.HasPrefix(page.Text, "used it: true"); got != c.want || !strings.HasPrefix(page.Text, "used it: ") {
			t.Errorf("%s: %s %s", c.actor, page.Status, page.Text)
		}
	}
	for _, actor := range []string{"alice", "root", ""} { // only the plugin says so
		if value, err := billing.Get(t, "LEDGER_KEY", actor); !errors.Is(err, pluginapi.ErrDenied) {
			t.Errorf("billing got %q for %q: %v", value, actor, err)
		}
		if can, err := billing.Can(t, "LEDGER_KEY", actor); can || err != nil {
			t.Errorf("billing can read LEDGER_KEY for %q: %v", actor, err)
		}
		if value, err := billing.Get(t, "SHARED_KEY", actor); value != "value of SHARED_KEY" {
			t.Errorf("billing got %q for %q: %v", value, actor, err)
		}
		if value, err := outsider.Get(t, "SHARED_KEY", actor); !errors.Is(err, pluginapi.ErrDenied) {
			t.Errorf("outsider got %q for %q: %v", value, actor, err)
		}
	}
	if list := outsider.List(t); len(list) != 1 || list[0].Set {
		t.Errorf("outsider is told about a secret that is not for it: %+v", list)
	}
	if list := billing.List(t); len(list) != 2 || !list[0].Set || !list[1].Set {
		t.Errorf("billing is told %+v", list)
	}
	// The running host explains what it does.
	why := command(t, dir, "explain", "datasette-secret", "SHARED_KEY", "--plugin", "outsider")
	if !strings.HasPrefix(why, "refused: plugins.datasette-secrets.secrets.SHARED_KEY.plugins does not name the plugin outsider\n") {
		t.Error(why)
	}
	who := command(t, dir, "who-can", "datasette-secret", "SHARED_KEY")
	if !strings.Contains(who, "plugin billing   yes  granted to this plugin\n") || !strings.Contains(who, "\nplugin outsider  no   ") {
		t.Error(who)
	}
}
