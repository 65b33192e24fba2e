package pluginhost

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

const (
	minPattern  = 4   // bytes; what is shorter is not looked for
	maxKeptText = 256 // bytes of a pattern that are compared; the rest is taken for granted
	minPiece    = 8   // bytes of a line of a value that is looked for by itself
)

// pattern is one way to write a value.
type pattern struct {
	text   string // its beginning
	length int    // of the whole
	ragged bool   // the characters beside it hold some of the value's bits
}

// size is about what a pattern costs in memory.
func (p pattern) size() int { return len(p.text) + 64 }

// patternsOf are the ways to write a value, none for one that is too short.
func patternsOf(value string) []pattern {
	if len(value) < minPattern {
		return nil
	}
	whole := strings.TrimSpace(value)
	if len(whole) < minPattern {
		whole = value // of white space, or nearly so
	}
	head := whole[:min(len(whole), maxKeptText)] // all that is kept of it
	digits := hex.EncodeToString([]byte(head))
	var all patterns
	all.add(whole, len(whole), false)
	all.add(digits, 2*len(whole), false)
	all.add(strings.ToUpper(digits), 2*len(whole), false)
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			all.add(within(encoding, head, before), lengthWithin(len(whole), before), true)
		}
	}
	for line := range strings.FieldsFuncSeq(whole, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); len(line) >= minPiece {
			all.add(line, len(line), false)
		}
	}
	return all.list
}

// within is the Base64 of a text that stands so many bytes behind the beginning
// of something longer, without the characters at both ends that depend on what
// is beside it.
func within(encoding *base64.Encoding, text string, before int) string {
	encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
	first := (before*8 + 5) / 6
	return encoded[first : first+lengthWithin(len(text), before)]
}

// lengthWithin is how long that is for a text of so many bytes.
func lengthWithin(bytes, before int) int {
	return (before+bytes)*8/6 - (before*8+5)/6
}

// patterns collects them, each once.
type patterns struct {
	list []pattern
	have map[string]bool
}

// add takes the beginning of a pattern, and the length of the whole.
func (p *patterns) add(text string, length int, ragged bool) {
	if len(text) < minPattern || p.have[text] {
		return
	}
	if p.have == nil {
		p.have = map[string]bool{}
	}
	p.have[text] = true
	// A copy, so that not all of a large value is kept.
	p.list = append(p.list, pattern{strings.Clone(text[:min(len(text), maxKeptText)]), length, ragged})
}

// index finds patterns by their first bytes. Most places of most texts begin no
// pattern, and that is told by one bit.
type index struct {
	first    [1 << 16 / 64]uint64 // a bit for each first two bytes of a pattern
	patterns map[string][]pattern // by their first bytes, minPattern of them
}

func (x *index) empty() bool { return len(x.patterns) == 0 }

func pair(text string) (word int, bit uint64) {
	n := int(text[0])<<8 | int(text[1])
	return n / 64, 1 << (n % 64)
}

func (x *index) add(all []pattern) {
	if x.patterns == nil {
		x.patterns = map[string][]pattern{}
	}
	for _, p := range all {
		word, bit := pair(p.text)
		x.first[word] |= bit
		x.patterns[p.text[:minPattern]] = append(x.patterns[p.text[:minPattern]], p)
	}
}

// remove takes each pattern out once: two values may have the same. The bits
// stay, for others may need them.
func (x *index) remove(all []pattern) {
	for _, p := range all {
		begin := p.text[:minPattern]
		if i := slices.Index(x.patterns[begin], p); i >= 0 {
			x.patterns[begin] = slices.Delete(x.patterns[begin], i, i+1)
		}
		if len(x.patterns[begin]) == 0 {
			delete(x.patterns, begin)
		}
	}
}

// find returns the parts of the original text that write a pattern. It takes
// what it compares from effort, and gives up when nothing is left of it.
func (x *index) find(v view, cut bool, effort *int) (spans []span, ok bool) {
	text := v.text
	for i := 0; i+minPattern <= len(text); i++ {
		word, bit := pair(text[i:])
		if x.first[word]&bit == 0 {
			continue
		}
		length, ragged := 0, false
		candidates := x.patterns[text[i:i+minPattern]]
		if *effort -= len(candidates); *effort < 0 {
			return nil, false
		}
		for _, p := range candidates {
			if p.length > length && p.begins(text[i:], cut) {
				length, ragged = p.length, p.ragged
			}
		}
		if length == 0 {
			continue
		}
		end := min(i+length, len(text))
		begin := i
		if ragged {
			begin, end = widen(text, begin, end)
		}
		spans = append(spans, span{v.origin(begin), v.origin(end)})
	}
	return spans, true
}

// begins reports whether a text begins with the pattern or, if it was cut off,
// ends within it.
func (p pattern) begins(text string, cut bool) bool {
	return strings.HasPrefix(text, p.text) || cut && strings.HasPrefix(p.text, text)
}

// widen takes in the characters of Base64 on both sides that hold a few of the
// value's bits, and the padding.
func widen(text string, begin, end int) (int, int) {
	if begin > 0 && isBase64(text[begin-1]) {
		begin--
	}
	if end < len(text) && isBase64(text[end]) {
		end++
	}
	for end < len(text) && text[end] == '=' {
		end++
	}
	return begin, end
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("+/-_", c) >= 0
}
