package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// isJSON reports whether a Content-Type is JSON, in the one encoding it has.
func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	return err == nil && media == jsonType && (!given || strings.EqualFold(charset, "utf-8"))
}

// decode reads the body into v, whose keys are in lower case.
func (r *request) decode(v any) error {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, r.limit))
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return errTooLarge(r.limit)
	}
	if err != nil {
		return fmt.Errorf("%w: the request ended before its body did", secrets.ErrInvalid)
	}
	return parseJSON(data, v)
}

// parseJSON reads JSON that means one thing to every program: of UTF-8, with
// nothing after it, every key once and as it is written, no null, and no half
// characters. Nothing of the text is in an error: it may be a value.
func parseJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errJSON("is not UTF-8 text")
	}
	if err := checkJSON(data); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
			return errJSON("has a field " + lastField(wrong.Field) + " of the wrong type")
		}
		return errJSON("does not have the fields that belong here")
	}
	return nil
}

// lastField is the name of one of our own fields, without where it is.
func lastField(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func errJSON(what string) error { return fmt.Errorf("%w: the body %s", secrets.ErrInvalid, what) }

// maxDepth is how deep arrays and objects may lie in each other.
const maxDepth = 8

// checkJSON refuses what parsers understand in different ways.
func checkJSON(data []byte) error {
	if halfCharacter(data) {
		return errJSON("has half of a surrogate pair")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	var open []*level
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return errJSON("is empty, or has more than one value")
		}
		if err != nil {
			return errJSON("is no JSON")
		}
		if token == nil {
			return errJSON("has a null; leave the field out instead")
		}
		var inner *level
		if len(open) > 0 {
			inner = open[len(open)-1]
		}
		switch delim, _ := token.(json.Delim); {
		case delim == '{' || delim == '[':
			if len(open) == maxDepth {
				return errJSON("is nested too deep")
			}
			inner.value()
			open = append(open, newLevel(delim))
		case delim == '}' || delim == ']':
			open = open[:len(open)-1]
		case !inner.take(token):
			return errJSON("has a key twice, or one that is not in lower case")
		}
		if len(open) == 0 {
			return checkEnd(decoder)
		}
	}
}

// checkEnd makes sure that nothing follows.
func checkEnd(decoder *json.Decoder) error {
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errJSON("has something after its JSON")
	}
	return nil
}

// level is an array, or an object with the keys that it had so far.
type level struct {
	keys  map[string]bool // nil: an array
	isKey bool            // a key comes next
}

func newLevel(delim json.Delim) *level {
	if delim == '[' {
		return &level{}
	}
	return &level{keys: map[string]bool{}, isKey: true}
}

// value notes that an object or array is a value in l.
func (l *level) value() {
	if l != nil && l.keys != nil {
		l.isKey = true
	}
}

// take notes a scalar, and reports false for a key that may not be there.
func (l *level) take(token json.Token) bool {
	if l == nil || l.keys == nil {
		return true
	}
	if !l.isKey {
		l.isKey = true
		return true
	}
	key, _ := token.(string)
	if l.keys[key] || key != strings.ToLower(key) {
		return false
	}
	l.keys[key], l.isKey = true, false
	return true
}

// halfCharacter reports whether there is an escape of half a surrogate pair,
// which Go would replace by another character.
func halfCharacter(data []byte) bool {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if data[i+1] != 'u' {
			i++ // of \\ the second is no beginning
			continue
		}
		switch unit := hex4(data[i+2:]); {
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			rest := data[i+6:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || hex4(rest[2:]) < 0xdc00 || hex4(rest[2:]) >= 0xe000 {
				return true
			}
			i += 6
		}
		i += 5
	}
	return false
}

// hex4 is the number of four hexadecimal digits; -1 if they are not there.
func hex4(data []byte) int {
	if len(data) < 4 {
		return -1
	}
	n := 0
	for _, c := range data[:4] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 {
			return -1
		}
		n = n<<4 | digit
	}
	return n
}
