package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/config"
)

// write makes a file in a new directory and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	return writeIn(t, t.TempDir(), name, text)
}

func writeIn(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads a configuration file with the given text.
func loadText(t *testing.T, text string, sets ...[2]string) (*config.Config, error) {
	t.Helper()
	return config.Load(config.Source{Files: []string{write(t, "c.yml", text)}, Sets: sets})
}

func mustLoad(t *testing.T, src config.Source) *config.Config {
	t.Helper()
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoadMerges(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, file, key, value, want string
	}{
		{"adds a key", "permissions: {manage-secrets: {id: a}}", "permissions.manage-secrets.team", "x",
			`{"permissions": {"manage-secrets": {"id": str "a", "team": str "x"}}}`},
		{"replaces a value", "allow: {id: a}", "allow.id", "b", `{"allow": {"id": str "b"}}`},
		{"wins where the file has no mapping", "permissions: {manage-secrets: true}", "permissions.manage-secrets.id", "root",
			`{"permissions": {"manage-secrets": {"id": str "root"}}}`},
		{"wins where the file has null", "permissions:", "permissions.manage-secrets.id", "root",
			`{"permissions": {"manage-secrets": {"id": str "root"}}}`},
		{"list is replaced", "a: [1, 2]", "a", "[3]", `{"a": [int 3]}`},
		{"empty file", "", "a", "1", `{"a": int 1}`},
		{"null file", "null", "a", "1", `{"a": int 1}`},
	}
	for _, c := range cases {
		got, err := loadText(t, c.file, [2]string{c.key, c.value})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if show(got.Tree()) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, show(got.Tree()), c.want)
		}
	}
}

func TestLoadNothing(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, config.Source{})
	if len(c.Tree()) != 0 || c.Permissions() != nil || c.Allow() != nil || c.ExtraCSS() != nil {
		t.Errorf("not empty: %v", c.Tree())
	}
	if got := c.Settings().BaseURL; got != "/" {
		t.Errorf("base_url is %q", got)
	}
}

func TestLoadStandardInput(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, config.Source{Files: []string{"-"}, Stdin: strings.NewReader("allow: {id: a}")})
	if got := show(c.Allow()); got != `{"id": str "a"}` {
		t.Errorf("allow is %s", got)
	}
	if _, err := config.Load(config.Source{Files: []string{"-"}}); err == nil {
		t.Error("no error without a standard input")
	}
}

func TestLastFileCounts(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, config.Source{Files: []string{"nosuch.yml", write(t, "c.yml", "a: 1")}})
	if got := show(c.Tree()); got != `{"a": int 1}` {
		t.Errorf("got %s", got)
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cases := []struct {
		src  config.Source
		want string
	}{
		{config.Source{Files: []string{"nosuch.yml"}}, "Invalid value for '-c' / '--config': 'nosuch.yml': No such file or directory"},
		{config.Source{Files: []string{dir}}, "Invalid value for '-c' / '--config': '" + dir + "': Is a directory"},
		{config.Source{Metadata: "nosuch.json"}, "Invalid value for '-m' / '--metadata': 'nosuch.json': No such file or directory"},
		{config.Source{Sets: [][2]string{{"num_sql_threads", "x"}}}, `Invalid value for '-s' / '--setting': "settings.num_sql_threads" should be an integer`},
	}
	for _, c := range cases {
		_, err := config.Load(c.src)
		if !errors.Is(err, config.ErrUsage) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"unparseable", "a: 1\nb: 'x\n", "not valid JSON or YAML: near line 2: found unexpected end of stream"},
		{"list", "- a\n", "should hold a mapping of names to values, not a list"},
		{"text", "hello", "should hold a mapping of names to values, not text"},
		{"false", "no", "should hold a mapping of names to values, not true or false"},
		{"too large", strings.Repeat("#", 4<<20+1), "larger than 4 MiB"},
		{"permissions", "permissions: [a]", "permissions: should be a mapping of names to values, not a list"},
		{"plugins", "plugins: x", "plugins: should be a mapping of names to values, not text"},
		{"settings", "settings: 1", "settings: should be a mapping of names to values, not a number"},
		{"css", "extra_css_urls: /a.css", "extra_css_urls: should be a list of URLs, not text"},
		{"css item", "extra_css_urls: [/a.css, {href: /b.css}]", "extra_css_urls[1]: should be a URL or a mapping with url and, if wanted, sri"},
		{"css hash", "extra_css_urls: [{url: /b.css, sri: 1}]", "extra_css_urls[0]: should be a URL or a mapping with url and, if wanted, sri"},
	}
	for _, c := range cases {
		_, err := loadText(t, c.text)
		if err == nil || errors.Is(err, config.ErrUsage) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	_, err := loadText(t, "a: 'x")
	if err == nil || !strings.Contains(err.Error(), "c.yml") {
		t.Errorf("the file is not named: %v", err)
	}
}

func TestDirectoryMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, "datasette.yml", "from: yml")
	cases := []struct {
		name string
		src  config.Source
		want string
	}{
		{"only one", config.Source{Dir: dir}, `{"from": str "yml"}`},
		{"-s", config.Source{Dir: dir, Sets: [][2]string{{"a", "1"}}}, `{"a": int 1}`},
		{"-c", config.Source{Dir: dir, Files: []string{write(t, "c.yml", "from: c")}}, `{"from": str "c"}`},
		{"empty -c", config.Source{Dir: dir, Files: []string{write(t, "c.yml", "")}}, `{"from": str "yml"}`},
	}
	for _, c := range cases {
		if got := show(mustLoad(t, c.src).Tree()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, first := range []string{"yaml", "json"} { // the later beats those before
		writeIn(t, dir, "datasette."+first, fmt.Sprintf(`{"from": "%s"}`, first))
		want := fmt.Sprintf(`{"from": str "%s"}`, first)
		c := mustLoad(t, config.Source{Dir: dir})
		if len(c.Warnings()) != 0 {
			t.Errorf("warnings: %q", c.Warnings())
		}
		if got := show(c.Tree()); got != want {
			t.Errorf("%s: got %s", first, got)
		}
	}
	if _, err := config.Load(config.Source{Dir: t.TempDir()}); err != nil {
		t.Errorf("empty directory: %v", err)
	}
	writeIn(t, dir, "datasette.json", "{")
	if _, err := config.Load(config.Source{Dir: dir}); err == nil || !strings.Contains(err.Error(), "datasette.json") {
		t.Errorf("broken file: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, metadata, config, want string }{
		{"plugins replaced wholesale", `{"plugins": {"a": 1}}`, "plugins: {b: 2}", `{"plugins": {"a": int 1}}`},
		{"allow", `{"allow": {"id": "x"}, "title": "t"}`, "allow: {id: y, team: z}", `{"allow": {"id": str "x"}}`},
		{"deeper", `{"databases": {"d": {"allow": false, "tables": {"t": {"plugins": {"p": 1}}}}}}`, "databases: {d: {x: 1}}",
			`{"databases": {"d": {"allow": false, "tables": {"t": {"plugins": {"p": int 1}}}, "x": int 1}}}`},
		{"null on the way", `{"databases": {"d": {"allow": false}}}`, "databases:", `{"databases": {"d": {"allow": false}}}`},
		{"nothing to move", `{"title": "t", "list": [{"allow": 1}]}`, "a: 1", `{"a": int 1}`},
	}
	for _, c := range cases {
		got := mustLoad(t, config.Source{
			Files:    []string{write(t, "c.yml", c.config)},
			Metadata: write(t, "m.json", c.metadata),
		})
		if show(got.Tree()) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, show(got.Tree()), c.want)
		}
	}
	_, err := config.Load(config.Source{
		Files:    []string{write(t, "c.yml", "databases: 1")},
		Metadata: write(t, "m.yml", "databases: {d: {allow: {id: x}}}"),
	})
	const want = "moving databases.d.allow from the metadata to the configuration: databases should be a mapping there, not a number"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMetadataOfDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, "metadata.yml", "allow: {id: yml}")
	writeIn(t, dir, "metadata.yaml", "allow: {id: yaml}")
	sets := [][2]string{{"a", "1"}}
	if got := show(mustLoad(t, config.Source{Dir: dir, Sets: sets}).Allow()); got != `{"id": str "yaml"}` {
		t.Errorf("got %s", got)
	}
	other := write(t, "m.json", `{"allow": {"id": "m"}}`)
	if got := show(mustLoad(t, config.Source{Dir: dir, Metadata: other}).Allow()); got != `{"id": str "m"}` {
		t.Errorf("with -m: got %s", got)
	}
}

func TestExtraCSS(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, "extra_css_urls:\n- /a.css\n- {url: https://x.test/b.css, sri: sha384-x}\n- /a.css\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "[{/a.css } {https://x.test/b.css sha384-x}]"
	if got := fmt.Sprint(c.ExtraCSS()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTreeIsACopy: what a caller does with a tree changes nothing for others.
func TestTreeIsACopy(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, "permissions: {manage-secrets: {id: [root]}}\nallow: {id: root}\n")
	if err != nil {
		t.Fatal(err)
	}
	before := show(c.Tree())
	c.Tree()["permissions"].(map[string]any)["manage-secrets"] = true
	c.Permissions()["manage-secrets"].(map[string]any)["id"].([]any)[0] = "eve"
	c.Allow().(map[string]any)["id"] = "eve"
	c.Settings().All()["base_url"] = "/eve/"
	if after := show(c.Tree()); after != before || c.Settings().All()["base_url"] != "/" {
		t.Errorf("changed to %s", after)
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, `
plugins:
  datasette-secrets: {encryption-key: {$env: K}}
  demo: {api: {$env: API}, API_TOKEN: hunter2, nested: [{db_password: hunter2, user: bob}], Dsn: hunter2, ſecret: hunter2}
permissions: {manage-secrets: {id: root}}
limits: [.inf, -.inf, .nan, 1.5, 2024-01-01]
monkey: hunter2
`)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"limits":["Infinity","-Infinity","NaN",1.5,"2024-01-01T00:00:00Z"],"monkey":"***",` +
		`"permissions":{"manage-secrets":"***"},` +
		`"plugins":{"datasette-secrets":"***","demo":{"API_TOKEN":"***","Dsn":"***","api":{"$env":"API"},` +
		`"nested":[{"db_password":"***","user":"bob"}],"ſecret":"***"}}}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
}
