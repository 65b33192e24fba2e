package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// loadEnv loads a configuration whose environment is env.
func loadEnv(t *testing.T, text string, env map[string]string) *config.Config {
	t.Helper()
	return mustLoad(t, config.Source{
		Files: []string{write(t, "c.yml", text)},
		Env:   func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	file := write(t, "key", "line\r\nkey\n")
	cases := []struct{ name, block, want string }{
		{"variable", `{"$env": "A"}`, `str "aval"`},
		{"unset", `{"$env": "UNSET"}`, `null`},
		{"empty", `{"$env": "EMPTY"}`, `str ""`},
		{"file keeps its last newline", fmt.Sprintf(`{"$file": %q}`, file), `str "line\nkey\n"`},
		{"another key beside", `{"$env": "A", "x": 1}`, `{"$env": str "A", "x": int 1}`},
		{"both", `{"$env": "A", "$file": "x"}`, `{"$env": str "A", "$file": str "x"}`},
		{"text", `["$env:A", "$A"]`, `[str "$env:A", str "$A"]`},
		{"deep", `[{"$env": "A"}, {"b": {"$env": "A"}}]`, `[str "aval", {"b": str "aval"}]`},
		{"not resolved twice", `{"$env": "REF"}`, `str "{\"$env\": \"A\"}"`},
		{"null", `null`, `null`},
	}
	env := map[string]string{"A": "aval", "EMPTY": "", "REF": `{"$env": "A"}`}
	for _, c := range cases {
		v, err := loadEnv(t, `{"plugins": {"p": `+c.block+`}}`, env).Plugin("p")
		if err != nil || show(v) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, show(v), err, c.want)
		}
	}
}

func TestReferenceErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := writeIn(t, dir, "large", strings.Repeat("x", 1<<20+1))
	binary := writeIn(t, dir, "binary", "\xff\xfe")
	absent := filepath.Join(dir, "absent")
	cases := []struct{ name, block, want string }{
		{"missing", fmt.Sprintf(`{"k": {"$file": %q}}`, absent), fmt.Sprintf("plugins.p.k: reading $file %q: No such file or directory", absent)},
		{"in a list", fmt.Sprintf(`{"k": [1, {"$file": %q}]}`, absent), fmt.Sprintf("plugins.p.k[1]: reading $file %q: No such file or directory", absent)},
		{"directory", fmt.Sprintf(`{"$file": %q}`, dir), fmt.Sprintf("plugins.p: reading $file %q: Is a directory", dir)},
		{"too large", fmt.Sprintf(`{"$file": %q}`, large), fmt.Sprintf("plugins.p: reading $file %q: larger than 1 MiB", large)},
		{"endless", `{"$file": "/dev/zero"}`, `plugins.p: reading $file "/dev/zero": larger than 1 MiB`},
		{"not text", fmt.Sprintf(`{"$file": %q}`, binary), fmt.Sprintf("plugins.p: reading $file %q: not UTF-8 text", binary)},
		{"file descriptor", `{"$file": 1}`, "plugins.p: $file should name a file, not a number"},
		{"variable's name", `{"$env": ["A"]}`, "plugins.p: $env should name an environment variable, not a list"},
	}
	for _, c := range cases {
		_, err := loadEnv(t, `{"plugins": {"p": `+c.block+`}}`, nil).Plugin("p")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestReferencesAreFresh: a change of the environment or a file is seen at the
// next call.
func TestReferencesAreFresh(t *testing.T) {
	t.Parallel()
	file := write(t, "key", "one")
	env := map[string]string{"A": "one"}
	c := loadEnv(t, fmt.Sprintf(`{"plugins": {"p": [{"$env": "A"}, {"$file": %q}]}}`, file), env)
	for _, want := range []string{"one", "two"} {
		env["A"] = want
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := c.Plugin("p")
		if err != nil || show(v) != fmt.Sprintf("[str %q, str %q]", want, want) {
			t.Errorf("got %s, %v; want %s", show(v), err, want)
		}
	}
}

// TestOnlyPluginsAreResolved: a reference anywhere else stays as written, and
// so does every reference in the trees that are shown.
func TestOnlyPluginsAreResolved(t *testing.T) {
	t.Parallel()
	const text = `{"allow": {"id": {"$env": "A"}}, "permissions": {"p": {"$env": "A"}}, "plugins": {"p": {"v": {"$env": "A"}}}}`
	c := loadEnv(t, text, map[string]string{"A": "hunter2"})
	if _, err := c.Plugin("p"); err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprint(c.Tree(), c.Redacted(), c.Allow(), c.Permissions())
	if strings.Contains(shown, "hunter2") {
		t.Errorf("resolved: %s", shown)
	}
	if v, err := c.Plugin("absent"); v != nil || err != nil {
		t.Errorf("absent plugin: %v, %v", v, err)
	}
}

func TestSecretsBlock(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, block, want string }{
		{"absent", `null`, `null "" false "" []`},
		{"key", `{encryption-key: {$env: K}}`, `str "kval" "" false "" []`},
		{"unset key", `{encryption-key: {$env: UNSET}}`, `null "" false "" []`},
		{"list of keys", `{encryption-key: [{name: a, key: {$env: K}}, b]}`, `[{"key": str "kval", "name": str "a"}, str "b"] "" false "" []`},
		{"odd key", `{encryption-key: {$env: K, x: 1}}`, `{"$env": str "K", "x": int 1} "" false "" []`},
		{"all", `{database: d, allow-undeclared: yes, plugins-dir: /p}`, `null "d" true "/p" []`},
		{"nulls", `{database: , allow-undeclared: , plugins-dir: , encryption-key: }`, `null "" false "" []`},
		{"internal", `{database: _internal}`, `null "" false "" []`},
		{"keys of other parts", `{plugins: {}, secrets: {}, bindings: adopt, seals: 1, trust-asserted-actors: true, host: 1, token: 1, mode: 1, offline: 1}`,
			`null "" false "" []`},
		{"old name", `{encryption_key: k}`, `str "k" "" false "" [plugins.datasette-secrets: "encryption_key" is deprecated; write "encryption-key"]`},
		{"both names", `{encryption_key: old, encryption-key: new}`,
			`str "new" "" false "" [plugins.datasette-secrets: "encryption_key" is ignored because "encryption-key" is given too; remove it]`},
		{"misspelt", `{encrytion-key: k, databse: d}`,
			`null "" false "" [plugins.datasette-secrets: unknown key "databse"; did you mean "database"? plugins.datasette-secrets: unknown key "encrytion-key"; did you mean "encryption-key"?]`},
	}
	for _, c := range cases {
		s, err := loadEnv(t, "plugins: {datasette-secrets: "+c.block+"}", map[string]string{"K": "kval"}).Secrets()
		got := fmt.Sprintf("%s %q %v %q %v", show(s.EncryptionKey), s.Database, s.AllowUndeclared, s.PluginsDir, s.Warnings)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, got, c.want)
		}
	}
}

func TestBindings(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"adopt": false, "require": true, "null": false, "": false} {
		s, err := loadEnv(t, "plugins: {datasette-secrets: {bindings: "+value+"}}", nil).Secrets()
		if err != nil || s.RequireBindings != want {
			t.Errorf("%q: %t, %v", value, s.RequireBindings, err)
		}
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]string{
		"{}":                     "enforce map[] []",
		"{sandbox: off}":         "off map[] []",
		"{sandbox: 'off'}":       "off map[] []",
		"{sandbox: on}":          "enforce map[] []",
		"{sandbox: best-effort}": "best-effort map[] []",
		"{plugins: {a: }}":       "enforce map[a:{true [] [] [] 0 [] 0s []}] []",
		"{plugins: {a: {network: none, memory: 67108864, enabled: false}}}":                                       "enforce map[a:{false [] [] [] 67108864 [] 0s []}] []",
		"{plugins: {a: {network: ['b:443', 'c:80', 'd:443', '[::1]:80'], read: [/x], memory: 1GiB, args: [-v]}}}": "enforce map[a:{true [b:443 c:80 d:443 [::1]:80] [80 443] [/x] 1073741824 [-v] 0s []}] []",
		"{plugins: {a: {max-age: 5m}}}":                       "enforce map[a:{true [] [] [] 0 [] 5m0s []}] []",
		"{plugins: {a: {max-age: 0}}}":                        "enforce map[a:{true [] [] [] 0 [] 0s []}] []",
		"{plugins: {a: {max-age: 1h}}}":                       "enforce map[a:{true [] [] [] 0 [] 1h0m0s []}] []",
		"{plugins: {a: {headers: [X-User, cookie, x-user]}}}": "enforce map[a:{true [] [] [] 0 [] 0s [cookie x-user]}] []",
		"{plugins: {a: {netwrok: none}}}":                     `enforce map[a:{true [] [] [] 0 [] 0s []}] [plugins.datasette-secrets.plugins.a: unknown key "netwrok"; did you mean "network"?]`,
	} {
		s, err := loadEnv(t, "plugins: {datasette-secrets: "+block+"}", nil).Secrets()
		if got := fmt.Sprint(s.Sandbox, " ", s.Grants, " ", s.Warnings); err != nil || got != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", block, err, got, want)
		}
	}
	if s, err := loadEnv(t, "{}", nil).Secrets(); err != nil || s.Sandbox != "enforce" {
		t.Errorf("without a block: %q, %v", s.Sandbox, err)
	}
}

func TestUnknownKeyFarFromAll(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"zzzzzz", strings.Repeat("z", 100_000)} {
		s, err := loadEnv(t, "{\"plugins\": {\"datasette-secrets\": {\""+key+"\": 1}}}", nil).Secrets()
		if err != nil || len(s.Warnings) != 1 || len(s.Warnings[0]) > 1000 || !strings.Contains(s.Warnings[0], "the known keys are encryption-key, ") {
			t.Errorf("%.20s: %.300q, %v", key, s.Warnings, err)
		}
	}
}

const headersError = "plugins.datasette-secrets.plugins.a.headers: should be a list of headers' names, such as x-forwarded-user; those of a connection, such as host, cannot be passed on"

// TestSecretsErrors: a wrong block is refused, and no refusal holds the key.
func TestSecretsErrors(t *testing.T) {
	t.Parallel()
	cases := []struct{ block, want string }{
		{"hunter2", "plugins.datasette-secrets: should be a mapping of names to values, not text"},
		{"{database: 1, encryption-key: hunter2}", "plugins.datasette-secrets.database: should be the name of a database; put it in quotes, not a number"},
		{"{allow-undeclared: 'yes', encryption-key: hunter2}", "plugins.datasette-secrets.allow-undeclared: should be true or false, without quotes, not text"},
		{"{bindings: hunter2}", "plugins.datasette-secrets.bindings: should be adopt or require"},
		{"{bindings: true}", "plugins.datasette-secrets.bindings: should be adopt or require"},
		{"{bindings: [adopt]}", "plugins.datasette-secrets.bindings: should be adopt or require"},
		{"{sandbox: hunter2}", "plugins.datasette-secrets.sandbox: should be enforce, best-effort or off"},
		{"{sandbox: {a: 1}}", "plugins.datasette-secrets.sandbox: should be enforce, best-effort or off"},
		{"{plugins: [a]}", "plugins.datasette-secrets.plugins: should be a mapping of plugins' names to what they may do, not a list"},
		{"{plugins: {a: hunter2}}", "plugins.datasette-secrets.plugins.a: should be a mapping of names to values, not text"},
		{"{plugins: {a: {enabled: 'no'}}}", "plugins.datasette-secrets.plugins.a.enabled: should be true or false, without quotes"},
		{"{plugins: {a: {network: all}}}", `plugins.datasette-secrets.plugins.a.network: should be "none" or a list of HOST:PORT`},
		{"{plugins: {a: {network: [example.com]}}}", `plugins.datasette-secrets.plugins.a.network: should be "none" or a list of HOST:PORT, such as api.example.com:443`},
		{"{plugins: {a: {network: ['example.com:0']}}}", `plugins.datasette-secrets.plugins.a.network: should be "none" or a list of HOST:PORT, such as api.example.com:443`},
		{"{plugins: {a: {network: ['example.com:65536']}}}", `plugins.datasette-secrets.plugins.a.network: should be "none" or a list of HOST:PORT, such as api.example.com:443`},
		{"{plugins: {a: {read: [relative]}}}", "plugins.datasette-secrets.plugins.a.read: should be a list of absolute paths"},
		{"{plugins: {a: {read: /etc}}}", "plugins.datasette-secrets.plugins.a.read: should be a list of absolute paths"},
		{"{plugins: {a: {memory: 64}}}", "plugins.datasette-secrets.plugins.a.memory: should be a number of bytes, or a text like 128MiB or 1GiB; at least 16MiB"},
		{"{plugins: {a: {memory: 9999999999GiB}}}", "plugins.datasette-secrets.plugins.a.memory: should be a number of bytes, or a text like 128MiB or 1GiB; at least 16MiB"},
		{"{plugins: {a: {args: [1]}}}", "plugins.datasette-secrets.plugins.a.args: should be a list of texts"},
		{"{plugins: {a: {max-age: 30}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: 2h}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: 500ms}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: -5s}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: soon}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: true}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {max-age: 1h1s}}}", "plugins.datasette-secrets.plugins.a.max-age: should be 0, or whole seconds as a text like 30s or 5m; at most 1h"},
		{"{plugins: {a: {headers: cookie}}}", headersError},
		{"{plugins: {a: {headers: [1]}}}", headersError},
		{"{plugins: {a: {headers: ['a b']}}}", headersError},
		{"{plugins: {a: {headers: ['é']}}}", headersError},
		{"{plugins: {a: {headers: [Host]}}}", headersError},
		{"{plugins: {a: {headers: [Transfer-Encoding]}}}", headersError},
		{"{plugins: {a: {headers: [Proxy-Authorization]}}}", headersError},
		{"{plugins: {a: {headers: [Datasette-Secrets-Actor]}}}", headersError},
		{"{plugins-dir: [hunter2]}", "plugins.datasette-secrets.plugins-dir: should be the path of a directory, not a list"},
	}
	for _, c := range cases {
		_, err := loadEnv(t, "plugins: {datasette-secrets: "+c.block+"}", nil).Secrets()
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// TestKeyDoesNotLeak prints what holds the key in every usual way.
func TestKeyDoesNotLeak(t *testing.T) {
	t.Parallel()
	c := loadEnv(t, "plugins: {datasette-secrets: {encryption-key: hunter2}}", nil)
	s, err := c.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		fmt.Fprintf(&b, verb+verb+verb, c, s, &s)
	}
	json.NewEncoder(&b).Encode([]any{c, s, c.Redacted()})
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "c", c, "s", s)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "c", c, "s", s)
	if strings.Contains(b.String(), "hunter2") {
		t.Errorf("leaked: %s", b.String())
	}
}
