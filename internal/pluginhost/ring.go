package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

const (
	maxKept     = 1000    // lines of one plugin that are kept
	maxKeptLine = 2 << 10 // bytes of one of them
)

// ring keeps the last lines about one plugin, its own and the host's.
type ring struct {
	mu    sync.Mutex
	seq   int64             // of the last line
	lines []secrets.LogLine // the line with the number n is at n % maxKept
}

func (r *ring) add(line secrets.LogLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	line.Seq = r.seq
	if len(r.lines) < maxKept {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[(r.seq-1)%maxKept] = line
}

// after returns the kept lines whose numbers are larger, oldest first.
func (r *ring) after(seq int64) []secrets.LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := max(seq, r.seq-int64(len(r.lines)), 0) + 1
	var found []secrets.LogLine
	for n := first; n <= r.seq; n++ {
		found = append(found, r.lines[(n-1)%maxKept])
	}
	return found
}

// recorder is a log that also keeps its lines in a ring, whatever their level.
type recorder struct {
	next  slog.Handler
	ring  *ring
	attrs string // given by With, as text
	group string // given by WithGroup, with a dot at its end
}

// Enabled is true: the ring takes everything.
func (r recorder) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps the record and hands it on.
func (r recorder) Handle(ctx context.Context, record slog.Record) error {
	var text strings.Builder
	text.WriteString(record.Message + r.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		writeAttr(&text, r.group, attr)
		return true
	})
	r.ring.add(secrets.LogLine{Time: record.Time.UTC(), Level: record.Level, Text: clean(text.String(), maxKeptLine)})
	if !r.next.Enabled(ctx, record.Level) {
		return nil
	}
	return r.next.Handle(ctx, record)
}

// WithAttrs returns a recorder whose lines all have attrs.
func (r recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	var text strings.Builder
	for _, attr := range attrs {
		writeAttr(&text, r.group, attr)
	}
	r.next, r.attrs = r.next.WithAttrs(attrs), r.attrs+text.String()
	return r
}

// WithGroup returns a recorder whose further attributes are in a group.
func (r recorder) WithGroup(name string) slog.Handler {
	if name != "" {
		r.next, r.group = r.next.WithGroup(name), r.group+name+"."
	}
	return r
}

// writeAttr writes " key=value", a group one by one. A plugin's own fields
// need no name in front of theirs: every line here is about that plugin.
func writeAttr(text *strings.Builder, group string, attr slog.Attr) {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" && attr.Key != fieldsGroup {
			group += attr.Key + "."
		}
		for _, member := range value.Group() {
			writeAttr(text, group, member)
		}
		return
	}
	fmt.Fprintf(text, " %s%s=%s", group, attr.Key, quoted(value.String()))
}

// quoted is text as it is if it is one word, and in quotes if not.
func quoted(text string) string {
	if text == "" || strings.ContainsAny(text, " \"=") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
