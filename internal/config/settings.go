package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Settings are the settings that mean something to this host, and a record of
// all those that Datasette knows.
type Settings struct {
	BaseURL            string // begins and ends with "/"
	ForceHTTPSURLs     bool
	MaxPostBodyBytes   int64 // 0: no limit
	AllowSignedTokens  bool
	MaxSignedTokensTTL int64 // seconds; 0: no limit

	all map[string]any
}

// All returns every known setting with its value: a bool, int64 or string.
func (s Settings) All() map[string]any { return maps.Clone(s.all) }

// readSettings checks the settings block and fills in the defaults. A null is
// the default.
func readSettings(tree map[string]any) (Settings, error) {
	given, err := block(tree, "settings")
	if err != nil {
		return Settings{}, err
	}
	all := map[string]any{}
	for _, s := range knownSettings() {
		all[s.name] = s.fallback
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		s, known := findSetting(name)
		if !known {
			return Settings{}, fmt.Errorf("Invalid setting '%s' in config file", name) //lint:ignore ST1005 Datasette's text
		}
		if given[name] == nil {
			continue
		}
		if all[name], err = s.read(given[name]); err != nil {
			return Settings{}, err
		}
	}
	return newSettings(all)
}

func newSettings(all map[string]any) (Settings, error) {
	s := Settings{
		BaseURL:            all["base_url"].(string),
		ForceHTTPSURLs:     all["force_https_urls"].(bool),
		MaxPostBodyBytes:   all["max_post_body_bytes"].(int64),
		AllowSignedTokens:  all["allow_signed_tokens"].(bool),
		MaxSignedTokensTTL: all["max_signed_tokens_ttl"].(int64),
		all:                all,
	}
	if err := checkBaseURL(s.BaseURL); err != nil {
		return Settings{}, err
	}
	// A negative limit could be read as "none" or as "nothing passes".
	for _, name := range []string{"max_post_body_bytes", "max_signed_tokens_ttl"} {
		if all[name].(int64) < 0 {
			return Settings{}, fmt.Errorf("settings.%s: should not be negative; write 0 for no limit", name)
		}
	}
	return s, nil
}

// read returns the value of a setting from the tree, as the type of its
// default.
func (s setting) read(v any) (any, error) {
	if typeName(v) != typeName(s.fallback) {
		//lint:ignore ST1005 Datasette's text
		return nil, fmt.Errorf("Setting '%s' in config file has incorrect type. Expected %s, got %s. Value: %s. "+
			"Hint: In YAML/JSON config files, remove quotes from boolean and integer values.",
			s.name, typeName(s.fallback), typeName(v), repr(v))
	}
	n, isNumber := v.(json.Number)
	if !isNumber {
		return v, nil
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("settings.%s: the number is too large", s.name)
	}
	return i, nil
}

// basePath is what a base_url may look like. Two slashes together would make
// links lead to another host, and so would a backslash.
var basePath = regexp.MustCompile(`^/(?:[A-Za-z0-9._~%!$&'()*+,;=:@-]+/)*$`)

func checkBaseURL(url string) error {
	if basePath.MatchString(url) {
		return nil
	}
	fix := "/"
	if inner := strings.Trim(url, "/"); basePath.MatchString("/" + inner + "/") {
		fix = "/" + inner + "/"
	}
	return fmt.Errorf("settings.base_url: should be a path that begins and ends with \"/\", not %q; write %q", clip(url), fix)
}

// SettingsHelp lists every setting, its meaning and its default, for
// --help-settings.
func SettingsHelp() string {
	var b strings.Builder
	b.WriteString("Settings:\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range knownSettings() {
		fmt.Fprintf(w, "  %s\t%s (default=%s)\n", s.name, s.help, strings.Trim(repr(s.fallback), "'"))
	}
	w.Flush()
	return b.String()
}
