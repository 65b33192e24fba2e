package plugincheck

import (
	"bytes"
	"strings"
	"sync"
	"unicode"
)

const (
	maxLogLines = 20  // that are shown with a failure
	maxLogLine  = 300 // bytes of one that are shown
	maxSample   = 80  // bytes of anything else of the program's that is shown
)

// logTail keeps the last lines that the program wrote to standard error.
type logTail struct {
	canaries *canaries

	mu    sync.Mutex
	lines []string
	line  []byte // that has no end yet
}

// Write never fails. The rest of a line that is too long is left out.
func (t *logTail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for part := range bytes.Lines(data) {
		text, whole := bytes.CutSuffix(part, []byte{'\n'})
		room := max(4*maxLogLine-len(t.line), 0) // more than is shown, for values are masked first
		t.line = append(t.line, text[:min(len(text), room)]...)
		if whole {
			t.endLine()
		}
	}
	return len(data), nil
}

func (t *logTail) endLine() {
	if text := t.canaries.mask(string(t.line)); strings.TrimSpace(text) != "" {
		t.lines = append(t.lines, clean(text, maxLogLine))
	}
	if extra := len(t.lines) - maxLogLines; extra > 0 {
		t.lines = t.lines[extra:]
	}
	t.line = nil
}

// last are the last lines.
func (t *logTail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLine()
	return append([]string(nil), t.lines...)
}

// reset forgets what was written.
func (t *logTail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.line = nil, nil
}

// sample keeps the first line that the program wrote where it should not.
type sample struct {
	mu    sync.Mutex
	line  []byte
	ended bool
}

// Write never fails.
func (s *sample) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		line, _, ended := bytes.Cut(data, []byte{'\n'})
		s.line = append(s.line, line[:min(len(line), maxLogLine-len(s.line))]...)
		s.ended = ended
	}
	return len(data), nil
}

// seen tells whether there was anything, and its first line.
func (s *sample) seen() (line string, anything bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.line), s.ended || len(s.line) > 0
}

// clean makes text that the program had a part in fit for a terminal: at most
// limit bytes, without control characters.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
