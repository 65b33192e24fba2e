package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Name is the name under plugins of this host's own block. It is that of the
// Datasette plugin, so that one file serves both.
const Name = "datasette-secrets"

// SecretsConfig is the block plugins.datasette-secrets, resolved. It prints
// as a fixed text, because EncryptionKey may be the key itself.
type SecretsConfig struct {
	EncryptionKey   any                    `json:"-"` // as resolved; nil when there is none
	Database        string                 // empty: the internal database
	AllowUndeclared bool                   // secrets that no plugin declared may be stored
	PluginsDir      string                 // empty: none
	RequireBindings bool                   // what other programs stored is refused, not adopted
	Sandbox         string                 // SandboxEnforce, SandboxBestEffort or SandboxOff
	Metrics         bool                   // /-/metrics answers
	Grants          map[string]PluginGrant // by the names of plugins
	Rules           map[string]SecretRules // by the names of secrets
	TrustAsserted   bool                   // a plugin's word for an actor counts in permissions
	Log             LogConfig              // how acts are recorded
	APIRate         float64                // requests a second that one client may send; 0: the default
	Warnings        []string               // for the operator: keys that are deprecated or not known
}

// Format writes a fixed text for every verb.
func (SecretsConfig) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[plugins."+Name+"]") }

const (
	hyphenKey     = "encryption-key"
	underscoreKey = "encryption_key"
)

// secretsKeys are the keys of the block; those that this package does not
// read itself belong to other parts of the host.
func secretsKeys() []string {
	return []string{
		hyphenKey, "database", "allow-undeclared", "plugins-dir",
		"plugins", "api", "secrets", "log", "audit", "bindings", "sandbox", "seals",
		"trust-asserted-actors", "metrics", "host", "token", "mode", "offline",
	}
}

// Secrets returns the block plugins.datasette-secrets, resolved anew. No error
// holds the key.
func (c *Config) Secrets() (SecretsConfig, error) {
	rules, err := c.secretRules()
	if err != nil {
		return SecretsConfig{}, err
	}
	v, err := c.ownBlock()
	if v == nil || err != nil {
		return SecretsConfig{Sandbox: SandboxEnforce}, err
	}
	b, ok := v.(map[string]any)
	if !ok {
		return SecretsConfig{}, fmt.Errorf("plugins.%s: should be a mapping of names to values, not %s", Name, kind(v))
	}
	s := SecretsConfig{EncryptionKey: encryptionKey(b), Rules: rules, Warnings: warnings(b)}
	if s.Database, err = optional[string](b, "database", "the name of a database; put it in quotes"); err != nil {
		return SecretsConfig{}, err
	}
	if s.Database == "_internal" {
		s.Database = ""
	}
	if s.AllowUndeclared, err = optional[bool](b, "allow-undeclared", "true or false, without quotes"); err != nil {
		return SecretsConfig{}, err
	}
	if s.TrustAsserted, err = optional[bool](b, "trust-asserted-actors", "true or false, without quotes"); err != nil {
		return SecretsConfig{}, err
	}
	if s.PluginsDir, err = optional[string](b, "plugins-dir", "the path of a directory"); err != nil {
		return SecretsConfig{}, err
	}
	if s.RequireBindings, err = requireBindings(b["bindings"]); err != nil {
		return SecretsConfig{}, err
	}
	if s.Sandbox, err = sandboxMode(b["sandbox"]); err != nil {
		return SecretsConfig{}, err
	}
	if s.Metrics, err = optional[bool](b, "metrics", "true or false, without quotes"); err != nil {
		return SecretsConfig{}, err
	}
	if s.Log, err = logConfig(b); err != nil {
		return SecretsConfig{}, err
	}
	if s.APIRate, err = apiRate(b["api"]); err != nil {
		return SecretsConfig{}, err
	}
	var more []string
	if s.Grants, more, err = grants(b["plugins"]); err != nil {
		return SecretsConfig{}, err
	}
	s.Warnings = append(s.Warnings, more...)
	return s, nil
}

// requireBindings reads what is done about rows that another program stored.
func requireBindings(v any) (bool, error) {
	switch v {
	case nil, "adopt":
		return false, nil
	case "require":
		return true, nil
	}
	return false, fmt.Errorf("plugins.%s.bindings: should be adopt or require", Name)
}

// encryptionKey returns the key. The underscore was in old documentation, and
// counts only where the hyphen is absent.
func encryptionKey(b map[string]any) any {
	if v, ok := b[hyphenKey]; ok {
		return v
	}
	return b[underscoreKey]
}

// optional returns b[key] as a T, or its zero value when it is absent or null.
func optional[T any](b map[string]any, key, want string) (T, error) {
	v, ok := b[key].(T)
	if !ok && b[key] != nil {
		return v, fmt.Errorf("plugins.%s.%s: should be %s, not %s", Name, key, want, kind(b[key]))
	}
	return v, nil
}

// warnings says what the operator should change. An unknown key is no error:
// another version may know it.
func warnings(b map[string]any) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(b)) {
		if slices.Contains(secretsKeys(), key) {
			continue
		}
		out = append(out, fmt.Sprintf("plugins.%s: %s", Name, advice(b, key)))
	}
	return out
}

func advice(b map[string]any, key string) string {
	if key != underscoreKey {
		return fmt.Sprintf("unknown key %q; %s", clip(key), suggestion(key, secretsKeys()))
	}
	if _, both := b[hyphenKey]; both {
		return fmt.Sprintf("%q is ignored because %q is given too; remove it", underscoreKey, hyphenKey)
	}
	return fmt.Sprintf("%q is deprecated; write %q", underscoreKey, hyphenKey)
}

// suggestion names the known key that is nearest to key or, when none is
// near, all of them.
func suggestion(key string, known []string) string {
	best, least := "", len(key)/2+1
	for _, k := range known {
		if len(key) > 64 { // far from all of them, and comparing takes time
			break
		}
		if d := levenshtein.ComputeDistance(key, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "the known keys are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}
