package config

import "strings"

// maxParts bounds the depth that one -s can make.
const maxParts = 100

// ParsePairs turns the pairs of -s KEY VALUE into a tree. KEY is split at its
// dots, empty parts included. VALUE is JSON if it can be read as such, else
// text. Later pairs are merged into earlier ones. A bare KEY that is the name
// of a setting means settings.KEY, and its value is checked; an error is
// [ErrUsage].
func ParsePairs(pairs [][2]string) (map[string]any, error) {
	tree := map[string]any{}
	for _, pair := range pairs {
		key, text, err := settingFlag(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		parts := strings.Split(key, ".")
		if len(parts) > maxParts {
			return nil, usage("Invalid value for %s: a key should have at most %d parts", setOption, maxParts)
		}
		merge(tree, nest(parts, pairValue(text)))
	}
	return tree, nil
}

const setOption = "'-s' / '--setting'"

// pairValue reads a value. NaN and Infinity, which Python reads as numbers,
// are text.
func pairValue(text string) any {
	if v, err := parseJSON([]byte(text)); err == nil {
		return v
	}
	return text
}

func nest(parts []string, value any) map[string]any {
	for i := len(parts) - 1; i > 0; i-- {
		value = map[string]any{parts[i]: value}
	}
	return map[string]any{parts[0]: value}
}

// settingFlag rewrites a bare setting name to its place in the tree, and its
// value to JSON, as Datasette has done since settings moved there.
func settingFlag(key, text string) (string, string, error) {
	s, known := findSetting(key)
	if !known {
		return key, text, nil
	}
	key = "settings." + key
	switch s.fallback.(type) {
	case bool:
		switch strings.ToLower(text) {
		case "on", "true", "1":
			return key, "true", nil
		case "off", "false", "0":
			return key, "false", nil
		}
		return "", "", usage(`Invalid value for %s: "%s" should be on/off/true/false/1/0`, setOption, key)
	case int64:
		if !isDigits(text) {
			return "", "", usage(`Invalid value for %s: "%s" should be an integer`, setOption, key)
		}
	}
	return key, text, nil
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
