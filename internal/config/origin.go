package config

import (
	"bytes"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// KeyOrigin is where an entry of encryption-key has its key from. The zero
// KeyOrigin is the configuration itself.
type KeyOrigin struct {
	File     string // that $file names
	Variable string // that $env names
}

// String names the origin for people.
func (o KeyOrigin) String() string {
	switch {
	case o.File != "":
		return "file " + o.File
	case o.Variable != "":
		return "environment variable " + o.Variable
	}
	return "configuration"
}

// KeyOrigins returns the origin of each entry of encryption-key, in their
// order. whole is true when encryption-key is one entry and no list. There are
// none when there is no encryption-key.
func (c *Config) KeyOrigins() (origins []KeyOrigin, whole bool) {
	plugins, _ := c.tree["plugins"].(map[string]any)
	own, _ := plugins[Name].(map[string]any)
	switch v := encryptionKey(own).(type) {
	case nil:
		return nil, false
	case []any:
		for _, entry := range v {
			origins = append(origins, originOf(entry))
		}
		return origins, false
	default:
		return []KeyOrigin{originOf(v)}, true
	}
}

func originOf(v any) KeyOrigin {
	block, _ := v.(map[string]any)
	if key, ok := block["key"].(map[string]any); ok {
		block = key
	}
	var o KeyOrigin
	if name, ok := reference(block, "$file"); ok {
		o.File, _ = name.(string)
	}
	if name, ok := reference(block, "$env"); ok {
		o.Variable, _ = name.(string)
	}
	return o
}

// Reload reads the configuration again, from where it was read. What came from
// standard input is what it was.
func (c *Config) Reload() (*Config, error) { return Load(c.source) }

// keepInput makes standard input readable more than once, if it is read.
func (src Source) keepInput() (Source, error) {
	if n := len(src.Files); src.Metadata != "-" && (n == 0 || src.Files[n-1] != "-") || src.Stdin == nil {
		return src, nil
	}
	data, err := io.ReadAll(io.LimitReader(src.Stdin, maxFile+1))
	src.Stdin = &replay{data: data}
	return src, err
}

// replay is an input that begins anew after its end.
type replay struct {
	data []byte
	left *bytes.Reader
}

// Read reads on, and after io.EOF from the beginning.
func (r *replay) Read(p []byte) (int, error) {
	if r.left == nil {
		r.left = bytes.NewReader(r.data)
	}
	n, err := r.left.Read(p)
	if err == io.EOF {
		r.left = nil
	}
	return n, err
}

// Reads are the paths of the files that the configuration of the keys comes
// from, and would come from if they were there.
func (c *Config) Reads() []string {
	var paths []string
	add := func(path string) {
		if path != "" && path != "-" {
			paths = append(paths, path)
		}
	}
	for _, path := range c.source.Files {
		add(path)
	}
	add(c.source.Metadata)
	if dir := c.source.Dir; dir != "" {
		for _, name := range append(configNames(), metadataNames()...) {
			add(filepath.Join(dir, name))
		}
	}
	origins, _ := c.KeyOrigins()
	for _, origin := range origins {
		add(origin.File)
	}
	return paths
}

// SecretFiles are the files that $file names in the host's own block: keys, and
// what opens seals.
func (c *Config) SecretFiles() []string {
	plugins, _ := c.tree["plugins"].(map[string]any)
	return filesIn(plugins[Name], nil)
}

func filesIn(v any, found []string) []string {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			found = filesIn(item, found)
		}
	case map[string]any:
		if name, ok := reference(v, "$file"); ok {
			if path, ok := name.(string); ok && !slices.Contains(found, path) {
				found = append(found, path)
			}
			return found
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = filesIn(v[key], found)
		}
	}
	return found
}

// LiteralKey tells where a key stands that is no reference: in a configuration
// file, or in the arguments of the command line, which every user of the
// machine can read. Both are empty when no key does.
func (c *Config) LiteralKey() (file string, arguments bool) {
	origins, _ := c.KeyOrigins()
	if !slices.Contains(origins, KeyOrigin{}) {
		return "", false
	}
	for _, pair := range c.source.Sets {
		for _, key := range []string{hyphenKey, underscoreKey} {
			if path := "plugins." + Name + "." + key; strings.HasPrefix(pair[0], path) || strings.HasPrefix(path, pair[0]+".") {
				return "", true
			}
		}
	}
	for _, path := range []string{c.source.file(), c.source.Metadata} {
		if path != "" && path != "-" {
			return path, false
		}
	}
	return "", false
}

// file is the configuration file that is read.
func (src Source) file() string {
	if n := len(src.Files); n > 0 {
		return src.Files[n-1]
	}
	return src.inDir(configNames()...)
}
