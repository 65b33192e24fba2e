package audit

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// SplitHeads returns the signed heads of a file that has one after the other.
func SplitHeads(text string) (signed []string, err error) {
	for _, line := range strings.SplitAfter(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		switch {
		case strings.TrimSuffix(line, "\n") == Origin:
			signed = append(signed, "")
		case len(signed) == 0 && strings.TrimSpace(line) != "":
			return nil, fmt.Errorf("it does not begin with a head: the first line of one is %q", Origin)
		}
		if len(signed) > 0 {
			signed[len(signed)-1] += line
		}
	}
	if len(signed) == 0 {
		return nil, errors.New("there is no head in it")
	}
	for i, head := range signed {
		signed[i] = strings.TrimRight(head, "\n") + "\n"
	}
	return signed, nil
}

// SplitKeys returns the verifying keys of a file that has one in a line.
func SplitKeys(text string) (verifying []string, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !IsKey(line) {
			return nil, errors.New("it holds something that is not a public key of a log")
		}
		verifying = append(verifying, line)
	}
	if len(verifying) == 0 {
		return nil, errors.New("there is no public key in it")
	}
	return verifying, nil
}

// IsKey reports whether a text is a verifying key.
func IsKey(text string) bool {
	_, err := note.NewVerifier(text)
	return err == nil
}
