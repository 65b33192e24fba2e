package config_test

import (
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// rules reads the rules of single secrets from what stands under "secrets".
func rules(t *testing.T, text string) (map[string]config.SecretRules, error) {
	t.Helper()
	c, err := config.Load(config.Source{Files: []string{write(t, "c.yml", "plugins: {datasette-secrets: {secrets: "+text+"}}")}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := c.Secrets()
	return own.Rules, err
}

func TestSecretRules(t *testing.T) {
	t.Parallel()
	all, err := rules(t, `{API_KEY: {permissions: {datasette-secret: {id: [alice, bob]}, manage-secrets: {id: alice}}, plugins: [llm], clients: []}, "naïve key": {}}`)
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	r := all["API_KEY"]
	if show(r.Permissions) != `{"datasette-secret": {"id": [str "alice", str "bob"]}, "manage-secrets": {"id": str "alice"}}` {
		t.Errorf("permissions: %s", show(r.Permissions))
	}
	if len(r.Plugins) != 1 || r.Plugins[0] != "llm" || r.Clients == nil || len(r.Clients) != 0 {
		t.Errorf("lists: %#v", r)
	}
	if free := all["naïve key"]; free.Permissions != nil || free.Plugins != nil || free.Clients != nil {
		t.Errorf("no rules: %#v", free)
	}
	for _, text := range []string{"null", "{}"} {
		if all, err := rules(t, text); err != nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", text, all, err)
		}
	}
}

// What is wrong stops the host: a rule that it does not understand must not
// leave the secret open.
func TestWrongSecretRules(t *testing.T) {
	t.Parallel()
	const path = "plugins.datasette-secrets.secrets"
	cases := []struct{ text, want string }{
		{`[API_KEY]`, path + ": should be a mapping of secrets' names to their rules, not a list"},
		{`{$file: rules.yml}`, path + ".$file: should be a mapping with permissions, plugins or clients, not text"},
		{`{API_KEY: null}`, path + ".API_KEY: should be a mapping with permissions, plugins or clients, not nothing"},
		{`{API_KEY: {id: alice}}`, path + `.API_KEY: unknown key "id"; the known keys are permissions, plugins, clients`},
		{`{API_KEY: {plugin: [a]}}`, path + `.API_KEY: unknown key "plugin"; did you mean "plugins"?`},
		{`{API_KEY: {permission: {}}}`, path + `.API_KEY: unknown key "permission"; did you mean "permissions"?`},
		{`{API_KEY: {permissions: null}}`, path + ".API_KEY.permissions: should be a mapping of actions to who may do them, not nothing"},
		{`{API_KEY: {permissions: {datasette-secret: {$env: WHO}}}}`, path + ".API_KEY.permissions.datasette-secret.$env: $env and $file do not count here; write what is meant"},
		{`{API_KEY: {permissions: {datasette-secret: {id: {$env: WHO}}}}}`, path + ".API_KEY.permissions.datasette-secret.id.$env: $env and $file do not count here; write what is meant"},
		{`{API_KEY: {plugins: null}}`, path + ".API_KEY.plugins: should be a list of names, such as [datasette-llm], or [] for none, not nothing"},
		{`{API_KEY: {plugins: llm}}`, path + ".API_KEY.plugins: should be a list of names, such as [datasette-llm], or [] for none, not text"},
		{`{API_KEY: {plugins: {$env: WHO}}}`, path + ".API_KEY.plugins: should be a list of names, such as [datasette-llm], or [] for none, not a mapping"},
		{`{API_KEY: {clients: [a, 7]}}`, path + ".API_KEY.clients[1]: should be a name, a text of 1 to 255 printable bytes"},
		{`{API_KEY: {clients: [""]}}`, path + ".API_KEY.clients[0]: should be a name, a text of 1 to 255 printable bytes"},
		{`{"": {}}`, path + ": a secret's name should have 1 to 255 bytes of printable text"},
		{`{"A\u200b": {}}`, path + ": a secret's name should have 1 to 255 bytes of printable text"},
		{`{` + strings.Repeat("A", 256) + `: {}}`, path + ": a secret's name should have 1 to 255 bytes of printable text"},
	}
	for _, c := range cases {
		if _, err := rules(t, c.text); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// The rules beside a reference, or beside a seal that is not at hand, are
// neither resolved nor lost.
func TestSecretRulesBesideReferences(t *testing.T) {
	t.Parallel()
	for _, beside := range []string{`"$env": X`, `seals: {a: {passphrase: {$file: /nowhere}}}`, `encryption-key: {$env: X}`} {
		c := loadEnv(t, `{plugins: {datasette-secrets: {`+beside+`, trust-asserted-actors: true, secrets: {A: {plugins: [$env]}}}}}`, map[string]string{"X": "x"})
		own, err := c.Secrets()
		if err != nil || len(own.Rules["A"].Plugins) != 1 || !own.TrustAsserted {
			t.Errorf("%s: %#v, %v", beside, own.Rules, err)
		}
	}
	c := loadEnv(t, `{plugins: {datasette-secrets: {trust-asserted-actors: "yes"}}}`, nil)
	if _, err := c.Secrets(); err == nil || !strings.Contains(err.Error(), "trust-asserted-actors: should be true or false") {
		t.Error(err)
	}
}

// FuzzSecretRules reads any text as the rules of single secrets: nothing
// panics, and what is taken keeps every list and permission that was written.
func FuzzSecretRules(f *testing.F) {
	for _, text := range []string{
		`{API_KEY: {permissions: {datasette-secret: {id: [alice]}}, plugins: [llm], clients: []}}`,
		`{A: {plugins: null}}`, `{A: {permissions: {x: {$env: Y}}}}`, `{$file: x}`, `[]`, `{"A\0": {}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Load(config.Source{
			Files: []string{"-"}, Stdin: strings.NewReader("plugins: {datasette-secrets: {secrets: " + text + "}}"),
		})
		if err != nil {
			return
		}
		read, err := c.Secrets()
		if err != nil {
			return
		}
		plugins, _ := c.Tree()["plugins"].(map[string]any)
		block, _ := plugins[config.Name].(map[string]any)
		blocks, _ := block["secrets"].(map[string]any)
		for name, block := range blocks {
			for key, value := range block.(map[string]any) {
				r, ok := read.Rules[name], false
				switch key {
				case "permissions":
					ok = len(r.Permissions) == len(value.(map[string]any)) && r.Permissions != nil
				case "plugins":
					ok = r.Plugins != nil && len(r.Plugins) == len(value.([]any))
				case "clients":
					ok = r.Clients != nil && len(r.Clients) == len(value.([]any))
				}
				if !ok {
					t.Errorf("%q: %s of %q became %#v", text, key, name, r)
				}
			}
		}
	})
}
