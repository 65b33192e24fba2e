package config

import (
	"bytes"
	"io"
	"path/filepath"
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
