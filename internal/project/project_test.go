package project_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/project"
)

// written writes a project and returns its files by their paths.
func written(t *testing.T, o project.Options) (files map[string]string, program string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	program, err := project.Write(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		if executable := info.Mode().Perm()&0o111 != 0; executable != (name == "build" || strings.HasPrefix(name, "datasette-")) {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, program
}

func TestProjects(t *testing.T) {
	t.Parallel()
	for language, want := range map[string]struct {
		program string
		files   []string
	}{
		"go":     {"bin/datasette-secrets-plugin-weather", []string{".gitignore", "README.md", "build", "go.mod", "main.go", "main_test.go"}},
		"python": {".venv/bin/datasette-secrets-plugin-weather", []string{".gitignore", "README.md", "build", "plugin.py", "pyproject.toml", "test_plugin.py"}},
		"node":   {"./datasette-secrets-plugin-weather", []string{".gitignore", "README.md", "build", "datasette-secrets-plugin-weather", "package.json", "plugin.js", "plugin.test.js"}},
	} {
		files, program := written(t, project.Options{Name: "weather", Language: language, Version: "1.2.3"})
		if program != want.program {
			t.Errorf("%s: program %s", language, program)
		}
		var names []string
		for name, text := range files {
			names = append(names, name)
			if strings.ContainsAny(text, "«»") || strings.Contains(text, "<no value>") || text == "" || !strings.HasSuffix(text, "\n") {
				t.Errorf("%s: %s is\n%s", language, name, text)
			}
			if source := name == "main.go" || name == "plugin.py" || name == "plugin.js"; source && strings.Count(text, "\n") > 40 {
				t.Errorf("%s: %s has %d lines", language, name, strings.Count(text, "\n"))
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want.files) {
			t.Errorf("%s: %q", language, names)
		}
		if !strings.Contains(files["README.md"], "plugin test "+want.program+"\n") {
			t.Errorf("%s: README.md does not name the program", language)
		}
	}
}

// Whatever name hosts allow, its project is written in words that its language
// allows.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][3]string{
		"weather":       {"module datasette-secrets-plugin-weather\n", `"datasette-secrets-plugin-weather"`, "WEATHER_API_KEY"},
		"Open.Weather-": {"module datasette-secrets-plugin-Open.Weather\n", `"datasette-secrets-plugin-open.weather"`, "OPEN_WEATHER_API_KEY"},
		"1st_one":       {"module datasette-secrets-plugin-1st_one\n", `"datasette-secrets-plugin-1st_one"`, "1ST_ONE_API_KEY"},
	} {
		goFiles, program := written(t, project.Options{Name: name, Language: "go"})
		nodeFiles, _ := written(t, project.Options{Name: name, Language: "node"})
		if program != "bin/datasette-secrets-plugin-"+name {
			t.Errorf("%s: program %s", name, program)
		}
		if !strings.Contains(goFiles["go.mod"], want[0]) || !strings.Contains(nodeFiles["package.json"], want[1]) || !strings.Contains(goFiles["main.go"], want[2]) {
			t.Errorf("%s: %s%s%s", name, goFiles["go.mod"], nodeFiles["package.json"], goFiles["main.go"])
		}
	}
}

func TestSDK(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	wheel, packed := filepath.Join(t.TempDir(), "sdk.whl"), filepath.Join(t.TempDir(), "sdk.tgz")
	for _, path := range []string{wheel, packed} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ language, sdk, file, want string }{
		{"go", root, "go.mod", "replace github.com/datasette-secrets/datasette-secrets => " + root + "\n"},
		{"go", root, "go.mod", "require google.golang.org/grpc v"},
		{"go", root, "go.sum", "google.golang.org/grpc v"},
		{"python", root, "pyproject.toml", `"datasette-secrets-plugin @ file://` + root + `/sdk/python"`},
		{"python", root + "/sdk/python", "pyproject.toml", `@ file://` + root + `/sdk/python"`},
		{"python", wheel, "pyproject.toml", `@ file://` + wheel + `"`},
		{"python", wheel, "pyproject.toml", "allow-direct-references = true"},
		{"node", root, "package.json", `"file:` + root + `/sdk/node"`},
		{"node", packed, "package.json", `"file:` + packed + `"`},
		{"node", packed, ".npmrc", "install-links=true"},
	} {
		files, _ := written(t, project.Options{Name: "weather", Language: c.language, SDK: c.sdk, Version: "1.2.3"})
		if !strings.Contains(files[c.file], c.want) {
			t.Errorf("%s with %s: %s is\n%s", c.language, c.sdk, c.file, files[c.file])
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	full, empty := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "README.md"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		dir  string
		o    project.Options
		want string
	}{
		{"a folder with something in it", full, project.Options{Name: "weather", Language: "go"}, "is not empty; choose another one with --dir"},
		{"a language nobody knows", empty, project.Options{Name: "weather", Language: "cobol"}, "there are go, python, node"},
		{"a name of signs", empty, project.Options{Name: "..", Language: "go"}, "needs a letter or a digit"},
		{"no SDK", empty, project.Options{Name: "weather", Language: "go", SDK: empty}, "give the path of a clone"},
		{"no SDK", empty, project.Options{Name: "weather", Language: "python", SDK: empty + "/x.whl"}, "sdk/python or its wheel"},
		{"no SDK", empty, project.Options{Name: "weather", Language: "node", SDK: "/dev/null"}, "npm pack"},
	} {
		if _, err := project.Write(c.dir, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if data, err := os.ReadFile(filepath.Join(full, "README.md")); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
}
