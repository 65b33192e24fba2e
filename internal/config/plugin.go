package config

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxReference is the largest file that $file reads, in bytes.
const maxReference = 1 << 20

// Plugin returns the block plugins.NAME with its references resolved, nil when
// there is none. {"$env": "X"} becomes the value of the environment variable
// X, nil when it is not set, and {"$file": "p"} the text of the file p; a
// mapping with any other key beside them is left as it is. Each call looks
// them up again. An error names the place in the configuration.
func (c *Config) Plugin(name string) (any, error) {
	plugins, err := block(c.tree, "plugins")
	if err != nil {
		return nil, err
	}
	return c.resolve("plugins."+name, plugins[name])
}

func (c *Config) resolve(path string, v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return c.resolveMapping(path, v)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			var err error
			if items[i], err = c.resolve(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return nil, err
			}
		}
		return items, nil
	}
	return v, nil
}

func (c *Config) resolveMapping(path string, v map[string]any) (any, error) {
	if name, ok := reference(v, "$env"); ok {
		return c.variable(path, name)
	}
	if name, ok := reference(v, "$file"); ok {
		return fileText(path, name)
	}
	m := make(map[string]any, len(v))
	for key, item := range v {
		var err error
		if m[key], err = c.resolve(path+"."+key, item); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// reference returns what v refers to, if key is its only key.
func reference(v map[string]any, key string) (name any, ok bool) {
	name, ok = v[key]
	return name, ok && len(v) == 1
}

func (c *Config) variable(path string, name any) (any, error) {
	text, ok := name.(string)
	if !ok {
		return nil, fmt.Errorf("%s: $env should name an environment variable, not %s", path, kind(name))
	}
	if value, set := c.env(text); set {
		return value, nil
	}
	return nil, nil
}

func fileText(path string, name any) (any, error) {
	file, ok := name.(string)
	if !ok {
		return nil, fmt.Errorf("%s: $file should name a file, not %s", path, kind(name))
	}
	text, err := readText(file)
	if err != nil {
		return nil, fmt.Errorf("%s: reading $file %q: %w", path, file, err)
	}
	return text, nil
}

func readText(name string) (string, error) {
	f, err := open(name)
	if err != nil {
		return "", errors.New(cause(err))
	}
	defer f.Close()
	data, err := readAll(f, maxReference)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data) {
		return "", errNotText
	}
	return universalNewlines(string(data)), nil
}
