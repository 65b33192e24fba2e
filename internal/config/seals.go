package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The ways to open a seal that a configuration can name, each after its key.
const (
	SealPassphrase = "passphrase"
	SealKey        = "key"
	SealURI        = "uri" // of an object in a PKCS#11 token
)

// SealMeans is an entry of plugins.datasette-secrets.seals: what one seal is
// opened with. It prints as a fixed text.
type SealMeans struct {
	Name string // of the seal
	Way  string // SealPassphrase, SealKey or SealURI
	Text string // the passphrase, key or URI, as resolved
	PIN  string // of a token, if the entry has one
	// AllowPKCS1 lets a token be used with RSA and PKCS #1 v1.5.
	AllowPKCS1 bool
	Timeout    time.Duration // of one use of a token; 0: the default
	Err        error         // why this one cannot be tried; the others can
}

// Format writes a fixed text for every verb.
func (m SealMeans) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[means of the seal "+m.Name+"]") }

// Seals returns the means that the configuration has to open seals, sorted by
// name, resolved anew: a file that was not there before may be now.
func (c *Config) Seals() ([]SealMeans, error) {
	plugins, err := block(c.tree, "plugins")
	if err != nil {
		return nil, err
	}
	own, _ := plugins[Name].(map[string]any)
	if own["seals"] == nil {
		return nil, nil
	}
	const path = "plugins." + Name + ".seals"
	entries, ok := own["seals"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: should be a mapping from the names of seals to what opens them, not %s", path, kind(own["seals"]))
	}
	var all []SealMeans
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entry, ok := entries[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s.%s: should be a mapping with passphrase, key or uri, not %s", path, clip(name), kind(entries[name]))
		}
		means, err := c.sealMeans(path+"."+clip(name), entry)
		if err != nil {
			return nil, err
		}
		means.Name = name
		all = append(all, means)
	}
	return all, nil
}

// sealMeans reads one entry. What is wrong with its form is an error; what is
// wrong with what it refers to is for later.
func (c *Config) sealMeans(path string, entry map[string]any) (SealMeans, error) {
	var m SealMeans
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		switch key {
		case SealPassphrase, SealKey, SealURI:
			if m.Way != "" {
				return m, fmt.Errorf("%s: has both %s and %s; give each seal an entry of its own", path, m.Way, key)
			}
			m.Way = key
		case "pin", "allow-rsa-pkcs1", "timeout":
		default:
			return m, fmt.Errorf("%s: unknown key %q; %s", path, clip(key), suggestion(key, []string{SealPassphrase, SealKey, SealURI, "pin", "allow-rsa-pkcs1", "timeout"}))
		}
	}
	if m.Way == "" {
		return m, fmt.Errorf("%s: should have passphrase, key or uri", path)
	}
	for _, key := range []string{"pin", "allow-rsa-pkcs1", "timeout"} {
		if _, ok := entry[key]; ok && m.Way != SealURI {
			return m, fmt.Errorf("%s: %s belongs to a uri", path, key)
		}
	}
	var err error
	if m.AllowPKCS1, err = flagOf(path, entry, "allow-rsa-pkcs1"); err != nil {
		return m, err
	}
	if m.Timeout, err = tokenTimeout(path, entry["timeout"]); err != nil {
		return m, err
	}
	if m.Way == SealURI {
		if m.Text, err = sealURI(path, entry[SealURI]); err != nil {
			return m, err
		}
	} else if m.Text, m.Err, err = c.hidden(path+"."+m.Way, entry[m.Way]); err != nil {
		return m, err
	}
	if entry["pin"] != nil {
		m.PIN, m.Err, err = c.hidden(path+".pin", entry["pin"])
	}
	return m, err
}

func flagOf(path string, entry map[string]any, key string) (bool, error) {
	v, ok := entry[key].(bool)
	if !ok && entry[key] != nil {
		return false, fmt.Errorf("%s.%s: should be true or false, without quotes, not %s", path, key, kind(entry[key]))
	}
	return v, nil
}

// maxTokenTimeout bounds how long one use of a token may take, in seconds.
const maxTokenTimeout = 600

func tokenTimeout(path string, v any) (time.Duration, error) {
	if v == nil {
		return 0, nil
	}
	seconds, ok := v.(int64)
	if !ok || seconds < 1 || seconds > maxTokenTimeout {
		return 0, fmt.Errorf("%s.timeout: should be a number of seconds from 1 to %d", path, maxTokenTimeout)
	}
	return time.Duration(seconds) * time.Second, nil
}

// sealURI reads the URI of an object. A PIN has no place in a configuration,
// which is shown on a page.
func sealURI(path string, v any) (string, error) {
	uri, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s.uri: should be a text that begins with pkcs11:, not %s", path, kind(v))
	}
	if strings.Contains(strings.ToLower(uri), "pin-value") {
		return "", fmt.Errorf("%s.uri: pin-value is refused, because a configuration is shown to people; use pin-source=file:PATH, or pin: {$file: PATH}", path)
	}
	return uri, nil
}

// hidden resolves a reference to something that must not stand in a
// configuration itself. missing says why there is nothing where it points to.
func (c *Config) hidden(path string, v any) (text string, missing, err error) {
	m, _ := v.(map[string]any)
	_, env := reference(m, "$env")
	_, file := reference(m, "$file")
	if !env && !file {
		return "", nil, fmt.Errorf(`%s: must be {"$env": NAME} or {"$file": PATH}, not the text itself, because a configuration is shown to people`, path)
	}
	resolved, missing := c.resolve(path, v)
	if missing != nil {
		return "", missing, nil
	}
	text, ok := resolved.(string)
	if !ok {
		return "", fmt.Errorf("%s: the environment variable is not set", path), nil
	}
	return text, nil, nil
}

// ownBlock is the block plugins.datasette-secrets, resolved but for its seals,
// of which one that is not at hand is no reason not to start, and its rules,
// which have no references.
func (c *Config) ownBlock() (any, error) {
	plugins, err := block(c.tree, "plugins")
	if err != nil {
		return nil, err
	}
	own, ok := plugins[Name].(map[string]any)
	if !ok || own["seals"] == nil && own["secrets"] == nil {
		return c.Plugin(Name)
	}
	rest := maps.Clone(own)
	rest["seals"], rest["secrets"] = nil, nil // not deleted: what is left could be a reference
	return c.resolve("plugins."+Name, rest)
}
