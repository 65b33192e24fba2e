// Package project writes the beginning of an author's project: a plugin that
// does something small, a test of it, and what builds both.
package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// goVersion is the version of Go that the SDK needs.
const goVersion = "1.26.0"

// filePrefix begins the name of a plugin's program.
const filePrefix = "datasette-secrets-plugin-"

// Languages are those in which a project can be written.
func Languages() []string { return []string{"go", "python", "node"} }

// Options say what to write.
type Options struct {
	Name     string // of the plugin; as hosts allow it
	Language string // one of Languages
	Version  string // of the SDK that is required
	// SDK is the path of an SDK to use instead of a published one: a clone of
	// this repository, the SDK's folder in it, a wheel or a packed npm package.
	// It may be empty.
	SDK string
}

// blanks are what the templates leave open.
type blanks struct {
	Name         string
	Program      string // file name of the program
	Path         string // of the program in the project
	Package      string
	PackageLower string
	Secret       string
	Version      string
	GoVersion    string
	SDK          string // absolute, or empty
	SDKURL       string
	Requires     []string // what the SDK's module requires, as "PATH VERSION"
}

// Write writes a project into dir, which is made unless it is there and empty.
// It returns the path of the program in dir, once that is built.
func Write(dir string, o Options) (program string, err error) {
	b, err := o.blanks()
	if err != nil {
		return "", err
	}
	if err := makeEmpty(dir); err != nil {
		return "", err
	}
	files, err := fs.Sub(templates, "templates/"+o.Language)
	if err != nil {
		return "", fmt.Errorf("finding the templates: %w", err)
	}
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if path == "npmrc.txt" && b.SDK == "" {
			return nil
		}
		return writeFile(files, path, filepath.Join(dir, b.fileName(path)), b)
	})
	if err == nil && o.Language == "go" && b.SDK != "" {
		err = copyFile(filepath.Join(b.SDK, "go.sum"), filepath.Join(dir, "go.sum"))
	}
	if err != nil {
		return "", fmt.Errorf("writing the project: %w", err)
	}
	return b.Path, nil
}

func (o Options) blanks() (blanks, error) {
	plain := strings.Trim(o.Name, "._-")
	if plain == "" {
		return blanks{}, errors.New("the name needs a letter or a digit")
	}
	b := blanks{
		Name: o.Name, Program: filePrefix + o.Name,
		Package: filePrefix + plain, PackageLower: strings.ToLower(filePrefix + plain),
		Secret:  strings.ToUpper(notInNames.ReplaceAllString(plain, "_")) + "_API_KEY",
		Version: o.Version, GoVersion: goVersion,
	}
	switch o.Language {
	case "go":
		b.Path = "bin/" + b.Program
	case "python":
		b.Path = ".venv/bin/" + b.Program
	case "node":
		b.Path = "./" + b.Program
	default:
		return blanks{}, fmt.Errorf("there is no language %q; there are %s", o.Language, strings.Join(Languages(), ", "))
	}
	if o.SDK == "" {
		return b, nil
	}
	return b.with(o.Language, o.SDK)
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]`)

// with finds the SDK at path.
func (b blanks) with(language, path string) (blanks, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return blanks{}, fmt.Errorf("finding the SDK: %w", err)
	}
	if inside := filepath.Join(path, "sdk", language); isThere(inside) {
		path = inside // it is a clone of the repository
	}
	found, what := false, ""
	switch language {
	case "go":
		data, err := os.ReadFile(filepath.Join(path, "go.mod"))
		found, what = err == nil && strings.HasPrefix(string(data), "module github.com/datasette-secrets/datasette-secrets\n"), "a clone of the repository"
		b.Requires = requires(string(data))
	case "python":
		found, what = isThere(filepath.Join(path, "pyproject.toml")) || strings.HasSuffix(path, ".whl") && isThere(path), "sdk/python or its wheel"
	case "node":
		found, what = isThere(filepath.Join(path, "package.json")) || strings.HasSuffix(path, ".tgz") && isThere(path), "sdk/node or what npm pack makes of it"
	}
	if !found {
		return blanks{}, fmt.Errorf("there is no SDK at %s; give the path of %s", path, what)
	}
	if strings.ContainsAny(path, "\"\\\n ") {
		return blanks{}, errors.New("the path of the SDK must not contain spaces, quotes or backslashes")
	}
	b.SDK, b.SDKURL = path, (&url.URL{Scheme: "file", Path: path}).String()
	return b, nil
}

// requires are the modules that a go.mod requires, one "PATH VERSION" each.
func requires(text string) (modules []string) {
	for _, m := range requirement.FindAllStringSubmatch(text, -1) {
		modules = append(modules, m[1]+" "+m[2])
	}
	return modules
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\t?([\w./~-]+\.[\w./~-]+) (v[^ \n]+)(?: // indirect)?$`)

// makeEmpty makes a folder that nothing is in.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the project's folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking at the project's folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty; choose another one with --dir", dir)
	}
	return nil
}

// fileName is where a template goes.
func (b blanks) fileName(template string) string {
	switch name := strings.TrimSuffix(template, ".txt"); name {
	case "gitignore", "npmrc":
		return "." + name
	case "program":
		return b.Program
	default:
		return name
	}
}

func writeFile(files fs.FS, path, to string, b blanks) error {
	// Go's own braces would be taken for the template's.
	parsed, err := template.New(path).Delims("«", "»").ParseFS(files, path)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if path == "build.txt" || path == "program.txt" {
		mode = 0o755
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(parsed.Execute(f, b), f.Close())
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
