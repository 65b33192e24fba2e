package ui

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// form holds the fields of a posted form.
type form map[string]string

// ticked reports whether a check box is ticked.
func (f form) ticked(name string) bool { return f[name] != "" }

// readForm reads the body as a form whatever its Content-Type says, as
// Datasette does, up to the setting max_post_body_bytes (0: no limit).
func (s *site) readForm(w http.ResponseWriter, r *request) (form, error) {
	limit := s.Settings.MaxPostBodyBytes
	body := r.Body
	if limit > 0 {
		if r.ContentLength > limit {
			return nil, tooLarge(limit)
		}
		body = http.MaxBytesReader(w, r.Body, limit)
	}
	data, err := io.ReadAll(body)
	if tooMuch := new(http.MaxBytesError); errors.As(err, &tooMuch) {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, text: "The request ended before its body did"}
	}
	return parseForm(data)
}

func tooLarge(limit int64) error {
	return &problem{
		status: http.StatusRequestEntityTooLarge,
		text:   fmt.Sprintf("Request body exceeded maximum size of %d bytes", limit),
	}
}

// parseForm parses an urlencoded body as Python's parse_qsl does: only "&"
// separates fields, a field without "=" is empty, an invalid %-escape stays as
// it is, escapes that are not UTF-8 become U+FFFD, and the last of several
// fields of one name wins.
func parseForm(body []byte) (form, error) {
	if !utf8.Valid(body) {
		return nil, &problem{status: http.StatusBadRequest, text: "The request body is not valid UTF-8"}
	}
	fields := form{}
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		fields[unquote(name)] = unquote(value)
	}
	return fields, nil
}

// unquote decodes "+" and %-escapes.
func unquote(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return validUTF8(b)
}

// validUTF8 replaces each byte that is not part of valid UTF-8 by U+FFFD.
func validUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
