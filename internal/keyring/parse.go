package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// encodedKeyLen is the length of 32 bytes in padded base64.
const encodedKeyLen = 44

// maxKeys bounds the list: each key may be tried on each token.
const maxKeys = 100

var keyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Parse makes a keyring of the resolved value of "encryption-key":
//
//   - nil, "" or an empty list: not configured, a nil Keyring
//   - a string: one key named "default"; a string of several lines is a list of
//     its lines
//   - a list of strings or {name, key}: the first encrypts, all decrypt; an
//     unnamed key is "default" if it stands last, else "k2", "k3", …, counted
//     from the end
//
// White space around a key is ignored: a key read from a file ends in a
// newline. The error of a bad key says which one of the list it is and what is
// wrong with it, never its text.
func Parse(value any) (*Keyring, error) {
	entries, err := list(value)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	if len(entries) > maxKeys {
		return nil, fmt.Errorf("encryption-key: %d keys are listed, at most %d are allowed", len(entries), maxKeys)
	}
	names, texts := make([]string, len(entries)), make([]string, len(entries))
	for i, entry := range entries {
		names[i], texts[i], err = parseEntry(entry, defaultName(i, len(entries)))
		if err != nil {
			return nil, fmt.Errorf("encryption-key%s: %w", position(i, len(entries)), err)
		}
		if slices.Contains(names[:i], names[i]) {
			return nil, fmt.Errorf("encryption-key%s: the name %q is used twice; give each key a name of its own", position(i, len(entries)), names[i])
		}
	}
	return New(names, func(i int, key []byte) error {
		if err := Decode(texts[i], key); err != nil {
			return fmt.Errorf("encryption-key%s: %w", position(i, len(entries)), err)
		}
		return nil
	})
}

func list(value any) ([]any, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case string:
		return lines(value), nil
	case []any:
		return value, nil
	}
	return nil, errors.New(`encryption-key: must be a key, {"$env": NAME}, {"$file": PATH} or a list of keys; make a key with: datasette-secrets generate-encryption-key`)
}

// lines are the keys of a text that holds one in each line, as a key file does
// while its key is changed.
func lines(text string) (entries []any) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			entries = append(entries, line)
		}
	}
	return entries
}

// parseEntry returns the name of an entry of the list, and the text of its key.
func parseEntry(entry any, name string) (string, string, error) {
	if block, ok := entry.(map[string]any); ok {
		return parseNamed(block, name)
	}
	text, ok := entry.(string)
	if !ok {
		return "", "", errors.New("is not a text; an environment variable that it names may be unset")
	}
	return name, text, nil
}

func parseNamed(block map[string]any, name string) (string, string, error) {
	for field := range block {
		if field != "name" && field != "key" {
			return "", "", fmt.Errorf(`has an unknown field %q; it takes "name" and "key"`, field)
		}
	}
	if given, ok := block["name"]; ok {
		name, _ = given.(string)
		if !keyName.MatchString(name) {
			return "", "", errors.New("its name must be 1 to 64 letters, digits or _ . -")
		}
	}
	text, ok := block["key"].(string)
	if !ok {
		return "", "", errors.New(`its "key" is missing; an environment variable that it names may be unset`)
	}
	return name, text, nil
}

// Decode writes the 32 bytes of one encoded key to key. It reads as Python's
// cryptography does, but strictly: a key that only one of the two programs
// accepts would lock the other out. The error never holds the text.
func Decode(text string, key []byte) error {
	text = strings.TrimSpace(text)
	if len(text) != encodedKeyLen {
		return fmt.Errorf("must be %d characters of URL-safe base64, but has %d; make one with: datasette-secrets generate-encryption-key", encodedKeyLen, len(text))
	}
	raw, err := base64.URLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(text))
	defer clear(raw)
	if err != nil {
		return errors.New("has a character that is not URL-safe base64; make a key with: datasette-secrets generate-encryption-key")
	}
	if len(raw) != keyLen || copy(key, raw) != keyLen {
		return errors.New("must be 32 bytes; make a key with: datasette-secrets generate-encryption-key")
	}
	return nil
}

func defaultName(i, n int) string {
	if i == n-1 {
		return DefaultName
	}
	return fmt.Sprintf("k%d", n-i)
}

func position(i, n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" (entry %d of %d)", i+1, n)
}
