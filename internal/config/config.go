// Package config reads what the operator wrote: the configuration file (JSON
// or YAML), the -s pairs of the command line, a configuration directory and
// the legacy metadata file, in the way that Datasette reads them.
//
// # The idea
//
// All of it becomes one tree of map[string]any, []any, string, bool, nil and
// numbers (json.Number from JSON; int64, float64 and, beyond 64 bits,
// json.Number from YAML) and time.Time for YAML's dates. [Load] makes the tree
// and refuses what can be seen to be wrong at that point: an unknown setting,
// a block of the wrong shape. What a permission block or an encryption key
// must look like is for the packages that use them.
//
// # YAML
//
// Datasette reads YAML with PyYAML, which is YAML 1.1: "on" is a boolean, 010
// is eight and 1:30 is ninety. [ParseYAML] therefore takes only the syntax
// from the YAML library and decides itself what a scalar means.
//
// # References
//
// Inside plugins, {"$env": "NAME"} stands for an environment variable and
// {"$file": "path"} for the text of a file. They are looked up whenever a
// plugin's block is asked for with [Config.Plugin], so that a change is seen
// without a restart, and are kept as written everywhere else.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Source says where the configuration comes from.
type Source struct {
	Files    []string    // -c; Datasette takes one, and the last if there are several; "-" is Stdin
	Metadata string      // -m; empty when there is none
	Sets     [][2]string // -s KEY VALUE, in the order given
	Dir      string      // the directory of directory mode; empty when there is none
	Stdin    io.Reader
	Env      func(string) (string, bool) // looks up an environment variable, for $env
}

// Config is a configuration that has been read and checked. It does not
// change, and may be used by several goroutines.
type Config struct {
	tree     map[string]any
	settings Settings
	css      []Asset
	env      func(string) (string, bool)
	warnings []string
	source   Source // for Reload
}

// Load reads the configuration that src describes. An error that is
// [ErrUsage] is about an option's value.
func Load(src Source) (*Config, error) {
	src, err := src.keepInput()
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	tree, unread, err := src.config()
	if err != nil {
		return nil, err
	}
	metadata, err := src.metadata()
	if err != nil {
		return nil, err
	}
	if err := moveLegacy(metadata, tree); err != nil {
		return nil, err
	}
	c, err := check(tree, src.Env)
	if err != nil {
		return nil, err
	}
	c.source = src
	if unread != "" {
		c.warnings = []string{unread + " is not read, because -c or -s is given; Datasette does the same"}
	}
	return c, nil
}

// check builds the Config of a tree, or says what is wrong with the tree.
func check(tree map[string]any, env func(string) (string, bool)) (*Config, error) {
	for _, key := range []string{"plugins", "permissions", "settings"} {
		if _, err := block(tree, key); err != nil {
			return nil, err
		}
	}
	settings, err := readSettings(tree)
	if err != nil {
		return nil, err
	}
	css, err := readAssets(tree, "extra_css_urls")
	if err != nil {
		return nil, err
	}
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return &Config{tree: tree, settings: settings, css: css, env: env}, nil
}

// block returns the mapping under key: nil when it is absent or null.
func block(tree map[string]any, key string) (map[string]any, error) {
	if tree[key] == nil {
		return nil, nil
	}
	m, ok := tree[key].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: should be a mapping of names to values, not %s", key, kind(tree[key]))
	}
	return m, nil
}

// config reads -c and -s or, when these give nothing at all, the
// configuration file of the directory. unread is that file if it is there and
// is not read.
func (src Source) config() (tree map[string]any, unread string, err error) {
	tree = map[string]any{}
	if n := len(src.Files); n > 0 {
		if tree, err = src.option("'-c' / '--config'", src.Files[n-1]); err != nil {
			return nil, "", err
		}
	}
	sets, err := ParsePairs(src.Sets)
	if err != nil {
		return nil, "", err
	}
	inDir := src.inDir(configNames()...)
	if merge(tree, sets); len(tree) > 0 {
		return tree, inDir, nil
	}
	tree, err = readFile(inDir)
	return tree, "", err
}

// metadata reads -m or, when it gives nothing, the directory's metadata file.
func (src Source) metadata() (map[string]any, error) {
	if src.Metadata != "" {
		tree, err := src.option("'-m' / '--metadata'", src.Metadata)
		if err != nil || len(tree) > 0 {
			return tree, err
		}
	}
	return readFile(src.inDir(metadataNames()...))
}

func configNames() []string   { return []string{"datasette.json", "datasette.yaml", "datasette.yml"} }
func metadataNames() []string { return []string{"metadata.json", "metadata.yaml", "metadata.yml"} }

// option reads the tree of a file that an option names.
func (src Source) option(option, name string) (map[string]any, error) {
	if name == "-" {
		return readTree("standard input", src.Stdin)
	}
	f, err := open(name)
	if err != nil {
		return nil, usage("Invalid value for %s: '%s': %s", option, name, cause(err))
	}
	defer f.Close()
	return readTree(name, f)
}

// inDir returns the path of the first of the names that exists in the
// directory, or nothing.
func (src Source) inDir(names ...string) string {
	for _, name := range names {
		path := filepath.Join(src.Dir, name)
		if src.Dir != "" && !missing(path) {
			return path
		}
	}
	return ""
}

// readFile reads the tree of a file; no path gives an empty one.
func readFile(path string) (map[string]any, error) {
	if path == "" {
		return map[string]any{}, nil
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("reading config file %q: %s", path, cause(err))
	}
	defer f.Close()
	return readTree(path, f)
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

// Tree returns a copy of the whole configuration as it was written, $env and
// $file included.
func (c *Config) Tree() map[string]any { return clone(c.tree).(map[string]any) }

// Permissions returns a copy of the permissions block, nil when there is none.
func (c *Config) Permissions() map[string]any {
	m, _ := clone(c.tree["permissions"]).(map[string]any)
	return m
}

// Allow returns a copy of the top-level allow block, nil when there is none.
func (c *Config) Allow() any { return clone(c.tree["allow"]) }

// Warnings are sentences for the operator about how the files were read.
func (c *Config) Warnings() []string { return slices.Clone(c.warnings) }

// Settings returns the settings, defaults included.
func (c *Config) Settings() Settings { return c.settings }

// ExtraCSS returns the style sheets of extra_css_urls, each once, in order.
// A URL that begins with "/" is still without the base_url.
func (c *Config) ExtraCSS() []Asset { return append([]Asset(nil), c.css...) }

// Format writes a fixed text for every verb: a configuration may hold a
// literal key.
func (c *Config) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[configuration]") }
