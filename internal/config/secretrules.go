package config

import (
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"
)

// SecretRules is the block plugins.datasette-secrets.secrets.NAME: who may do
// what with one secret.
type SecretRules struct {
	Permissions map[string]any // an action's name to its rule, unchecked; nil when there is none
	// The names of programs. Nil is no list, and one without elements is a list
	// that names nobody.
	Plugins []string
	Clients []string
}

// maxName is the longest name of a secret, plugin or client, in bytes.
const maxName = 255

// maxListed is how many programs one list may have.
const maxListed = 1000

func secretRuleKeys() []string { return []string{"permissions", "plugins", "clients"} }

// secretRules reads the rules of single secrets, by name. They are taken as
// they are written: a reference that leads nowhere would otherwise be a rule
// that is not there. For the same reason a wrong key is an error, and what is
// there has to say something.
func (c *Config) secretRules() (map[string]SecretRules, error) {
	plugins, err := block(c.tree, "plugins")
	if err != nil {
		return nil, err
	}
	own, _ := plugins[Name].(map[string]any)
	if own["secrets"] == nil {
		return nil, nil
	}
	const path = "plugins." + Name + ".secrets"
	blocks, ok := clone(own["secrets"]).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: should be a mapping of secrets' names to their rules, not %s", path, kind(own["secrets"]))
	}
	all := map[string]SecretRules{}
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		if !isName(name) {
			return nil, fmt.Errorf("%s: a secret's name should have 1 to %d bytes of printable text", path, maxName)
		}
		if all[name], err = rulesOf(path+"."+name, blocks[name]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func rulesOf(path string, v any) (r SecretRules, err error) {
	rules, ok := v.(map[string]any)
	if !ok {
		return r, fmt.Errorf("%s: should be a mapping with permissions, plugins or clients, not %s", path, kind(v))
	}
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		switch key {
		case "permissions":
			if r.Permissions, ok = rules[key].(map[string]any); !ok {
				return r, fmt.Errorf("%s.permissions: should be a mapping of actions to who may do them, not %s", path, kind(rules[key]))
			}
			if place := referenceIn(r.Permissions); place != "" {
				return r, fmt.Errorf("%s.permissions.%s: $env and $file do not count here; write what is meant", path, place)
			}
		case "plugins":
			r.Plugins, err = programs(path+".plugins", rules[key])
		case "clients":
			r.Clients, err = programs(path+".clients", rules[key])
		default:
			err = fmt.Errorf("%s: unknown key %q; %s", path, clip(key), suggestion(key, secretRuleKeys()))
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// referenceIn is the place of a reference in a tree of permissions, empty if
// there is none.
func referenceIn(m map[string]any) string {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key == "$env" || key == "$file" {
			return key
		}
		below, _ := m[key].(map[string]any)
		if place := referenceIn(below); place != "" {
			return clip(key) + "." + place
		}
	}
	return ""
}

// programs reads a list of the names of plugins or clients.
func programs(path string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: should be a list of names, such as [datasette-llm], or [] for none, not %s", path, kind(v))
	}
	if len(list) > maxListed {
		return nil, fmt.Errorf("%s: has %d names, at most %d are allowed", path, len(list), maxListed)
	}
	all := make([]string, 0, len(list))
	for i, item := range list {
		name, ok := item.(string)
		if !ok || !isName(name) {
			return nil, fmt.Errorf("%s[%d]: should be a name, a text of 1 to %d printable bytes", path, i, maxName)
		}
		all = append(all, name)
	}
	return all, nil
}

func isName(name string) bool {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
