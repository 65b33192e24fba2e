package pluginhost

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
)

const (
	maxVersions = 3       // of one secret that are looked for
	maxPatterns = 4 << 20 // bytes that the patterns of one plugin may take
	maxEffort   = 200_000 // comparisons for one text

	hidden   = "[redacted]"
	withheld = "[withheld: it may hold more than can be recognised]"
)

// redactor finds the values that one plugin was given in texts that come from
// it, and hides them. It is there for accidents, such as an error message with
// a URL in it: a plugin that wants to tell a secret finds a way to write it that
// nobody recognises.
//
// What is found, however much of the text is escaped as JSON, Go, Python or a
// URL: a value as it is, in hexadecimal digits, and in Base64 of either
// alphabet, alone or as a part of something longer. Of a value with several
// lines, each line of at least eight bytes is found by itself too. A value of
// less than four bytes is not looked for: it would be everywhere.
//
// It looks for the newest three values of each secret. When they are too large
// together it hides everything, rather than to look for some of them only, and
// so it does with a text that is made to keep it busy.
type redactor struct {
	mu    sync.RWMutex
	names map[string][]known // by secret, the newest last
	size  int                // of all patterns, about
	full  bool
	index index
}

// known is a value by what it looks like in a text.
type known struct {
	sum      [sha256.Size]byte // of the value
	patterns []pattern
	size     int
}

// learn remembers a value that the plugin is about to be given.
func (r *redactor) learn(name, value string) {
	sum := sha256.Sum256([]byte(value))
	if r.knows(name, sum) {
		return
	}
	patterns := patternsOf(value)
	if len(patterns) == 0 {
		return
	}
	k := known{sum: sum, patterns: patterns}
	for _, p := range patterns {
		k.size += p.size()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string][]known{}
	}
	versions := r.names[name]
	if len(versions) == maxVersions {
		r.size -= versions[0].size
		r.index.remove(versions[0].patterns)
		versions = slices.Delete(versions, 0, 1)
	}
	if r.size+k.size > maxPatterns {
		r.full = true
		r.names[name] = versions
		return
	}
	r.size += k.size
	r.names[name] = append(versions, k)
	r.index.add(patterns)
}

// renew lets the texts of a new process be read again, after those of the one
// before were all hidden. What that one was given, the new one was not.
func (r *redactor) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		r.names, r.size, r.full, r.index = nil, 0, false, index{}
	}
}

func (r *redactor) knows(name string, sum [sha256.Size]byte) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.names[name], func(k known) bool { return k.sum == sum })
}

// fit makes a text of the plugin fit for a log line or a page: without values,
// without control characters, and of at most limit bytes.
func (r *redactor) fit(text string, limit int) string {
	text = r.hide(text, false)
	if valid := strings.ToValidUTF8(text, ""); valid != text {
		text = r.hide(valid, false) // what was taken out may have stood within a value
	}
	return clean(text, limit)
}

// hide replaces every value in a text. Of a text that was cut off, the end may
// be the beginning of a value.
func (r *redactor) hide(text string, cut bool) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case text == "":
		return ""
	case r.full:
		return withheld
	case r.index.empty():
		return text
	}
	if cut {
		text = beforeEscapes(text)
	}
	var spans []span
	effort := maxEffort
	for _, v := range views(text) {
		found, ok := r.index.find(v, cut, &effort)
		if !ok {
			return withheld
		}
		spans = append(spans, found...)
	}
	return without(text, spans)
}

// span is a part of a text.
type span struct{ begin, end int }

// without replaces the spans of a text.
func without(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.begin-b.begin, a.end-b.end) })
	var out strings.Builder
	done := 0 // all before is written or hidden
	for i, s := range spans {
		if i == 0 || s.begin > done {
			out.WriteString(text[done:s.begin])
			out.WriteString(hidden)
		}
		done = max(done, s.end)
	}
	out.WriteString(text[done:])
	return out.String()
}
