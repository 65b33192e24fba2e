package pluginhost

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

const (
	maxLine  = 16 << 10 // bytes of one line that are kept
	logRate  = 100      // lines a second
	logBurst = 400      // lines at once
)

// journal takes what one plugin writes, as lines, to the host's log. It never
// makes the plugin wait: lines beyond the rate are counted and dropped.
type journal struct {
	log      *slog.Logger
	redactor *redactor
	limiter  *rate.Limiter
	dropped  atomic.Int64
	told     atomic.Int64 // how many of them the log knows about
}

func newJournal(log *slog.Logger) *journal {
	return &journal{log: log, redactor: &redactor{}, limiter: rate.NewLimiter(logRate, logBurst)}
}

// lines returns a writer for one stream of text.
func (j *journal) lines() *lines { return &lines{journal: j} }

// line logs one line, which may have been cut off, or drops it. It tells whether
// the line is part of the text of a crash.
func (j *journal) line(text []byte, cut, crashing bool) bool {
	if !j.limiter.Allow() {
		j.dropped.Add(1)
		return crashing
	}
	j.tellDropped()
	e := parseLine(text, cut, j.redactor)
	if !e.tagged && (crashing || isCrash(e.message)) {
		crashing = true
		e.level = slog.LevelError
	}
	j.log.LogAttrs(context.Background(), e.level, e.message, e.attrs...)
	return crashing
}

func (j *journal) tellDropped() {
	total := j.dropped.Load()
	if more := total - j.told.Swap(total); more > 0 {
		j.log.Warn("the plugin wrote too many lines; some are not in this log", "dropped", more)
	}
}

// lines cuts a stream into lines. The rest of a line that is too long is left
// out.
type lines struct {
	journal  *journal
	line     []byte
	cut      bool // more of it was left out
	crashing bool
}

// Write never fails and never waits.
func (l *lines) Write(data []byte) (int, error) {
	written := len(data)
	for len(data) > 0 {
		part, rest, whole := bytes.Cut(data, []byte{'\n'})
		l.add(part)
		if whole {
			l.flush()
		}
		data = rest
	}
	return written, nil
}

func (l *lines) add(part []byte) {
	if room := maxLine - len(l.line); len(part) > room {
		part, l.cut = part[:room], true
	}
	l.line = append(l.line, part...)
}

// flush ends the line that was begun.
func (l *lines) flush() {
	if text := bytes.TrimRight(l.line, "\r"); len(text) > 0 {
		l.crashing = l.journal.line(text, l.cut, l.crashing)
	}
	l.line, l.cut = l.line[:0], false
}
