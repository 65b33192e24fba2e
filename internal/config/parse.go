package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

var errNotText = errors.New("not UTF-8 text")

// Parse reads data as JSON or, when it is not JSON, as YAML, whatever the
// file is called. Empty data is nil. An error names the line, and never
// repeats a value.
func Parse(data []byte) (any, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	v, jsonErr := parseJSON(data)
	if jsonErr == nil {
		return v, nil
	}
	v, err := ParseYAML(data)
	if err == nil {
		return v, nil
	}
	if looksLikeJSON(data) {
		err = jsonErr
	}
	return nil, fmt.Errorf("not valid JSON or YAML: %w", err)
}

func checkText(data []byte) error {
	if len(data) > maxFile {
		return errTooLarge(maxFile)
	}
	if !utf8.Valid(data) {
		return errNotText
	}
	return nil
}

// parseJSON reads data as one JSON value with nothing after it. Of a repeated
// key the last value counts, in Python as in Go.
func parseJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, jsonError(data, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("line %d: more text after the end of the value", lineAt(data, dec.InputOffset()))
	}
	return v, nil
}

func jsonError(data []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: %w", lineAt(data, syntax.Offset), err)
	}
	return fmt.Errorf("line %d: the text ends too early", lineAt(data, int64(len(data))))
}

// lineAt is the number of the line, from 1, at an offset.
func lineAt(data []byte, offset int64) int {
	offset = max(0, min(offset, int64(len(data))))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// looksLikeJSON tells whose complaint to show when data is neither: text that
// begins with { or [ was most likely meant to be JSON.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}
