package conformance_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// configOf is what a host shows of its configuration, without numbers losing
// how they were written.
func configOf(t *testing.T, args ...string) map[string]any {
	t.Helper()
	got := get(t, "/-/config.json", args...)
	if got.Code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", args, got.Code, got.Stdout, got.Stderr)
	}
	decoder := json.NewDecoder(strings.NewReader(got.Stdout))
	decoder.UseNumber()
	var config map[string]any
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	delete(config, "ok")
	return config
}

func Test03SettingTakesTwoTokens(t *testing.T) {
	t.Parallel()
	got := get(t, "/-/secrets", "-s", "plugins.datasette-secrets.encryption-key", harness.Key, "-s", "permissions.manage-secrets", "true")
	if got.Code != 0 || strings.Contains(got.Stdout, "has not been configured") {
		t.Errorf("a key that begins with -: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-s", "a", "-1"}, `{"a":-1}`},
		{[]string{"--setting", "a", "--get"}, `{"a":"--get"}`},
		{[]string{"--setting=a", "-c"}, `{"a":"-c"}`},
		{[]string{"-s", "a", "--", "-s", "b", "-"}, `{"a":"--","b":"-"}`},
	} {
		if got := toJSON(t, configOf(t, test.args...)); got != test.want {
			t.Errorf("%q: config %s, want %s", test.args, got, test.want)
		}
	}
	refusal{[]string{"-s", "a"}, 2, "Error: Option '-s' requires 2 arguments."}.check(t, "")
}

func Test03SettingVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Pairs  [][2]string
		Config map[string]any
	}
	readVectors(t, "settings.json", &vectors)
	for _, v := range vectors {
		var args []string
		for _, pair := range v.Pairs {
			args = append(args, "-s", pair[0], pair[1])
		}
		// What is confidential by its name is shown as Datasette shows it.
		if plugins, ok := v.Config["plugins"].(map[string]any); ok {
			plugins["datasette-secrets"] = "***"
		}
		if got := configOf(t, args...); !reflect.DeepEqual(numbers(got), numbers(v.Config)) {
			t.Errorf("%q: config\n%v, want\n%v", args, got, v.Config)
		}
	}
}

// numbers makes int64 and float64 of the numbers in a JSON value, by how they
// are written.
func numbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return value
}

func Test04SettingsMerge(t *testing.T) {
	t.Parallel()
	team := writeFile(t, "team.yml", "permissions: {manage-secrets: {team: x}}\nplugins: {demo: {a: 1, b: {c: 2}}}\n")
	everybody := writeFile(t, "everybody.json", `{"permissions": {"manage-secrets": true}}`)
	root, one := []string{"-s", "permissions.manage-secrets.id", "root"}, []string{"-s", "permissions.manage-secrets.id", "1"}
	for _, test := range []struct {
		file  string
		pairs []string
		actor string
		ok    bool
	}{
		{team, root, `{"id": "root"}`, true},
		{team, root, `{"id": "bob", "team": "x"}`, true},
		{team, root, `{"id": "bob"}`, false},
		{team, one, `{"id": 1}`, true},
		{team, one, `{"id": "1"}`, false},
		{team, []string{"-s", "permissions.manage-secrets.id", `"1"`}, `{"id": "1"}`, true},
		{everybody, root, `{"id": "root"}`, true},
		{everybody, root, `{"id": "bob"}`, false},
	} {
		got := get(t, "/-/secrets", append([]string{"-c", test.file, "--actor", test.actor}, test.pairs...)...)
		if (got.Code == 0) != test.ok {
			t.Errorf("%s with %q: allowed is %t", test.actor, test.pairs, !test.ok)
		}
	}
	got := toJSON(t, configOf(t, "-c", team, "-s", "plugins.demo.b.d", "3", "-s", "plugins.demo.a", "null"))
	if want := `{"permissions":{"manage-secrets":"***"},"plugins":{"demo":{"a":null,"b":{"c":2,"d":3}}}}`; got != want {
		t.Errorf("config %s, want %s", got, want)
	}
}

func Test05Settings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	quoted := `{"settings": {"sql_time_limit_ms": "1"}}`
	if err := os.WriteFile(filepath.Join(dir, "quoted.json"), []byte(quoted), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, r := range []refusal{
		{[]string{"-s", "settings.nope", "1"}, 1, "Error: Invalid setting 'nope' in config file"},
		{[]string{"-c", "quoted.json"}, 1, "Error: Setting 'sql_time_limit_ms' in config file has incorrect type. Expected int, got str. Value: '1'. " +
			"Hint: In YAML/JSON config files, remove quotes from boolean and integer values."},
		{[]string{"-s", "allow_signed_tokens", "maybe"}, 2, `Error: Invalid value for '-s' / '--setting': "settings.allow_signed_tokens" should be on/off/true/false/1/0`},
		{[]string{"-s", "sql_time_limit_ms", "1s"}, 2, `Error: Invalid value for '-s' / '--setting': "settings.sql_time_limit_ms" should be an integer`},
	} {
		r.check(t, dir)
	}
	want := `{"nope":{"a":1},"settings":{"allow_download":false,"base_url":"/x/","max_returned_rows":60}}`
	got := configOf(t, "-s", "nope.a", "1", "-s", "allow_download", "OFF", "-s", "base_url", "/x/", "-s", "settings.max_returned_rows", "60")
	if toJSON(t, got) != want {
		t.Errorf("config %v, want %s", got, want)
	}
	settings := get(t, "/-/settings.json", "-s", "allow_signed_tokens", "0")
	for _, text := range []string{`"ok": true`, `"allow_signed_tokens": false`, `"base_url": "/"`, `"max_post_body_bytes": 2097152`, `"max_signed_tokens_ttl": 0`} {
		if !strings.Contains(settings.Stdout, text) {
			t.Errorf("/-/settings.json lacks %s: %s", text, settings.Stdout)
		}
	}
}

// configured tells whether a host says that it has an encryption key.
func configured(t *testing.T, dir string, env []string, args ...string) bool {
	t.Helper()
	args = append([]string{"--get", "/-/secrets", "-s", "permissions.manage-secrets", "true"}, args...)
	got := harness.RunCommand(t, dir, harness.Env(env...), harness.Binary(t), args...)
	if got.Code != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, got.Code, got.Stderr)
	}
	return !strings.Contains(got.Stdout, "has not been configured")
}

func Test09EncryptionKeyFromEnvironmentAndFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets.key"), []byte(harness.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	setting := "plugins.datasette-secrets.encryption-key"
	for _, test := range []struct {
		env  []string
		args []string
		want bool
	}{
		{nil, nil, false},
		{nil, []string{"-s", setting, ""}, false},
		{nil, []string{"-s", setting, "null"}, false},
		{nil, []string{"-s", setting + ".$env", "KEY"}, false},
		{[]string{"KEY="}, []string{"-s", setting + ".$env", "KEY"}, false},
		{[]string{"KEY=" + harness.Key}, []string{"-s", setting + ".$env", "KEY"}, true},
		{nil, []string{"-s", setting + ".$file", "secrets.key"}, true},
		{nil, []string{"-s", "plugins.datasette-secrets.encryption_key", harness.Key}, true}, // deprecated, but not ignored
	} {
		if got := configured(t, dir, test.env, test.args...); got != test.want {
			t.Errorf("%q with %q: configured is %t", test.args, test.env, got)
		}
	}
}

func Test09BrokenKeysStopTheStart(t *testing.T) {
	t.Parallel()
	setting := "plugins.datasette-secrets.encryption-key"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-s", setting + ".$file", "nosuch.key"}, "nosuch.key"},
		{[]string{"-s", setting, `{"$env": "KEY", "x": 1}`}, setting},
		{[]string{"-s", setting, "7"}, setting},
		{[]string{"-s", setting, harness.Key[:43] + "$"}, setting},
	} {
		got := harness.Run(t, "", append(test.args, "--get", "/")...)
		if got.Code == 0 || !strings.HasPrefix(got.Stderr, "Error: ") || !strings.Contains(got.Stderr, test.want) {
			t.Errorf("%q: exit code %d\n%s", test.args, got.Code, got.Stderr)
		}
		if strings.Contains(got.Stderr, harness.Key[:10]) {
			t.Errorf("%q: the key is in the message:\n%s", test.args, got.Stderr)
		}
	}
}

// A plugin's own block shows what is resolved, and that it is so anew at every
// look.
func Test09OnlyExactMappingsAreResolved(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "value.txt", "from file\n")
	block := `{"env": {"$env": "VALUE"}, "unset": {"$env": "NOSUCH"}, "empty": {"$env": "EMPTY"},
		"two": {"$env": "VALUE", "x": 1}, "text": "$env:VALUE", "file": {"$file": "` + file + `"},
		"list": [{"$env": "VALUE"}, {"b": {"$env": "VALUE"}}]}`
	config := writeFile(t, "datasette.json", `{"plugins": {"probe": `+block+`}}`)
	probe := harness.NewProbe(t, "KEY")
	harness.Start(t, harness.Options{
		Args: append(probe.Args, "-c", config),
		Env:  []string{"VALUE=from environment", "EMPTY="},
	})
	want := map[string]any{
		"env": "from environment", "unset": nil, "empty": "",
		"two": map[string]any{"$env": "VALUE", "x": 1.0}, "text": "$env:VALUE", "file": "from file\n",
		"list": []any{"from environment", map[string]any{"b": "from environment"}},
	}
	if got := blockOf(t, probe); !reflect.DeepEqual(got, want) {
		t.Errorf("the plugin's block is\n%v, want\n%v", got, want)
	}
	if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := blockOf(t, probe)["file"]; got != "changed" {
		t.Errorf("after the file changed, the plugin is told %q", got)
	}
}

// blockOf is the probe's block of configuration, without its socket.
func blockOf(t *testing.T, probe *harness.Probe) map[string]any {
	t.Helper()
	var block map[string]any
	if err := json.Unmarshal([]byte(probe.Config(t)), &block); err != nil {
		t.Fatal(err)
	}
	delete(block, "socket")
	return block
}
