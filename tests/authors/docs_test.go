package authors

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// snippet is one block of code of a document, with the line above it.
type snippet struct{ language, text, above string }

// section returns the snippets under a heading of docs/plugins.md.
func section(t *testing.T, heading string) (all []snippet) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/plugins.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	block := regexp.MustCompile("(?s)([^\n]*)\n\n```([a-z]*)\n(.*?)```")
	for _, m := range block.FindAllStringSubmatch(heading+"\n"+text, -1) {
		all = append(all, snippet{language: m[2], text: m[3], above: m[1]})
	}
	if n := strings.Count(text, "```"); n != 2*len(all) {
		t.Fatalf("%q: %d fences, %d blocks", heading, n, len(all))
	}
	return all
}

// reader is somebody who does what the document says, one block after the
// other.
type reader struct {
	t    *testing.T
	dir  string // where the reader is
	env  []string
	host *harness.Process // the last one that was started
	said string           // by the commands of the last block
}

func newReader(t *testing.T) *reader {
	t.Helper()
	bin := t.TempDir()
	// A reader of the published document has the published SDKs, and a machine
	// that does nothing else.
	harness.WriteFile(t, filepath.Join(bin, "datasette-secrets"), fmt.Sprintf(`#!/bin/sh
case "$1 $2" in
"plugin init") set -- "$@" --sdk %q ;;
"plugin test") set -- "$@" %s ;;
esac
exec %q "$@"
`, harness.Root(), forTests(), harness.Binary(t)), 0o755)
	env := buildEnv(t)
	path := slices.IndexFunc(env, func(variable string) bool { return strings.HasPrefix(variable, "PATH=") })
	env = append(env, "PATH="+bin+":"+strings.TrimPrefix(env[path], "PATH="))
	return &reader{t: t, dir: t.TempDir(), env: env}
}

// does runs the lines of a block.
func (r *reader) does(block string) {
	r.t.Helper()
	r.said = ""
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		words, starts := strings.CutPrefix(line, "datasette-secrets serve ")
		if !starts {
			words, starts = strings.CutPrefix(line, "datasette-secrets --")
			words = "--" + words
		}
		if starts {
			r.starts(words)
		} else {
			r.runs(line)
		}
	}
}

// runs runs one line in a shell, after which the reader may be elsewhere.
func (r *reader) runs(line string) {
	r.t.Helper()
	where := filepath.Join(r.t.TempDir(), "where")
	got := harness.RunCommand(r.t, r.dir, append(r.env, "WHERE="+where), "/bin/sh", "-c", line+"\ncode=$?; pwd >\"$WHERE\"; exit $code")
	if got.Code != 0 {
		r.t.Fatalf("%s: exit code %d\n%s%s", line, got.Code, got.Stdout, got.Stderr)
	}
	r.said += got.Stdout
	now, err := os.ReadFile(where)
	if err != nil {
		r.t.Fatal(err)
	}
	r.dir = strings.TrimSpace(string(now))
}

// starts starts a host, but on a free port, in place of the one before.
func (r *reader) starts(arguments string) {
	r.t.Helper()
	if r.host != nil {
		r.host.Stop(r.t)
	}
	words := harness.RunCommand(r.t, r.dir, r.env, "/bin/sh", "-c", "printf '%s\\n' "+arguments).Stdout
	r.host = harness.Start(r.t, harness.Options{NoKey: true, Dir: r.dir, Args: strings.Split(strings.TrimSpace(words), "\n")})
	logs(r.t, r.host, 1, "the plugin is ready")
}

// sets gives a secret a value on the host's pages.
func (r *reader) sets(name string) {
	r.t.Helper()
	if set := r.host.SetSecret(r.t, name, "hunter2", "", secrets.Actor{"id": "root"}); set.StatusCode != 302 {
		r.t.Fatalf("setting %s: status %d: %s", name, set.StatusCode, set.Text)
	}
}

// sees looks for the lines of a block in what the last commands said, or in the
// host's log.
func (r *reader) sees(block string) {
	r.t.Helper()
	for line := range strings.Lines(block) {
		line = strings.TrimRight(line, "\n")
		if !strings.Contains(r.said, line) {
			logs(r.t, r.host, 1, regexp.QuoteMeta(line))
		}
	}
}

// has compares a file of the project with a block.
func (r *reader) has(file, block string) {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		r.t.Fatal(err)
	}
	if string(data) != block {
		r.t.Errorf("%s is\n%s\nbut docs/plugins.md says\n%s", file, data, block)
	}
}

// The way from nothing to an approved plugin, as docs/plugins.md has it: every
// block is done or found.
func TestTutorial(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	for _, s := range section(t, "From nothing to an approved plugin") {
		switch s.language {
		case "sh":
			if strings.Contains(s.text, "plugin list") {
				r.installs(s.text)
			} else {
				r.does(s.text)
			}
			if strings.Contains(s.text, "serve --dev") {
				r.sets("WEATHER_API_KEY")
			}
		case "text":
			r.sees(s.text)
		case "yaml":
			harness.WriteFile(t, filepath.Join(filepath.Dir(r.dir), "datasette.yml"), s.text, 0o644)
		case "go":
			r.code(s)
		default:
			t.Errorf("nobody knows what to do with a block of %q", s.language)
		}
	}
	if !strings.Contains(r.said, "WEATHER_MAP_KEY") {
		t.Errorf("the last command said %q", r.said)
	}
	r.does("datasette-secrets plugin list --internal internal.db")
	if strings.Contains(r.said, "asks for") {
		t.Errorf("after the approval: %s", r.said)
	}
}

// code is a file of the project, or what is added to one.
func (r *reader) code(s snippet) {
	r.t.Helper()
	switch {
	case strings.HasSuffix(s.above, "`main.go` is a whole plugin:"):
		r.has("main.go", s.text)
	case strings.HasSuffix(s.above, "`main_test.go`:"):
		r.has("main_test.go", s.text)
	case strings.HasSuffix(s.above, "a secret to `RegisterSecrets`,"):
		path := filepath.Join(r.dir, "weather", "main.go")
		data, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		const begin = "[]pluginapi.Secret{{\n"
		harness.WriteFile(r.t, path, strings.Replace(string(data), begin, begin+s.text, 1), 0o644)
	default:
		r.t.Errorf("nobody knows what to do with the code after %q", s.above)
	}
}

// installs does the lines of a block, and waits before the last one until the
// running host has taken the new program.
func (r *reader) installs(block string) {
	r.t.Helper()
	block = strings.TrimRight(block, "\n")
	last := strings.LastIndex(block, "\n")
	r.does(block[:last])
	logs(r.t, r.host, 2, "the plugin is ready")
	r.does(block[last+1:])
}

// The same in the other languages: the project is what the document shows, and
// what it says to type works.
func TestTutorialInOtherLanguages(t *testing.T) {
	t.Parallel()
	for heading, c := range map[string]struct{ file, secret string }{
		"The same in Python":     {"plugin.py", "RAIN_API_KEY"},
		"The same in JavaScript": {"plugin.js", "SNOW_API_KEY"},
	} {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			blocks := section(t, heading)
			if len(blocks) != 2 || blocks[0].language != "sh" {
				t.Fatalf("blocks %v", blocks)
			}
			r.does(blocks[0].text)
			r.has(c.file, blocks[1].text)
			r.sets(c.secret)
			logs(t, r.host, 1, "got the key  length=7")
		})
	}
}

// What the document says of the configuration is one that hosts take without a
// word.
func TestConfigurationInDocs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plugins.md", "approval.md"} {
		data, err := os.ReadFile(filepath.Join(harness.Root(), "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
		if len(found) == 0 {
			t.Errorf("%s has no configuration", name)
		}
		for _, m := range found {
			dir := t.TempDir()
			harness.WriteFile(t, filepath.Join(dir, "datasette.yml"), m[1], 0o644)
			harness.WriteFile(t, filepath.Join(dir, "secrets.key"), harness.Key+"\n", 0o600)
			if err := os.Mkdir(filepath.Join(dir, "plugins"), 0o755); err != nil {
				t.Fatal(err)
			}
			got := harness.Run(t, dir, "plugins", "-c", "datasette.yml", "--internal", "internal.db", "--plugins-dir", "plugins")
			for line := range strings.Lines(got.Stderr) {
				if !strings.Contains(line, "decides about a plugin that is not there") {
					t.Errorf("%s: %s\nsays: %s", name, m[1], line)
				}
			}
			if got.Code != 0 {
				t.Errorf("%s: %s\nexit code %d: %s", name, m[1], got.Code, got.Stderr)
			}
		}
	}
}

// The names of errors and hooks in the tables are those of the SDKs.
func TestTablesInDocs(t *testing.T) {
	t.Parallel()
	sdk := func(paths ...string) (text string) {
		for _, pattern := range paths {
			files, err := filepath.Glob(filepath.Join(harness.Root(), pattern))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %v, %v", pattern, files, err)
			}
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				text += string(data)
			}
		}
		return text
	}
	languages := []string{sdk("pluginapi/*.go"), sdk("sdk/python/src/datasette_secrets_plugin/*.py"), sdk("sdk/node/index.d.ts")}
	data, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\|(?: `[a-z]+` \\|)? `(\\w+)`[^|]*\\| `(\\w+)`[^|]*\\| `(\\w+)`[^|]*\\|")
	_, hooks, _ := strings.Cut(string(data), "\n## What else a plugin can offer\n")
	hooks, _, _ = strings.Cut(hooks, "\n## ")
	_, failures, _ := strings.Cut(string(data), "\n## Errors\n")
	failures, _, _ = strings.Cut(failures, "\n## ")
	rows := row.FindAllStringSubmatch(hooks+failures, -1)
	if len(rows) != 7+5 {
		t.Errorf("%d rows of errors and hooks", len(rows))
	}
	for _, m := range rows {
		for i, name := range m[1:] {
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(languages[i]) {
				t.Errorf("no SDK number %d knows %s", i+1, name)
			}
		}
	}
}
