package pluginhost_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginhost"
)

func TestRingText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, after := pluginhost.Recorded(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log.Debug("quiet", "n", 1)
	log.Warn("loud", "reason", errors.New("a = b"), "empty", "")
	log.Info("its own", slog.Group("fields", "k", "v w"))
	log.With("always", 1).WithGroup("g").Error("grouped", "k", "v", slog.Group("h", "l", 2))
	log.Info("two\nlines\x1b[31m")
	want := []string{
		"DEBUG quiet n=1",
		`WARN loud reason="a = b" empty=""`,
		`INFO its own k="v w"`,
		"ERROR grouped always=1 g.k=v g.h.l=2",
		"INFO two lines [31m",
	}
	lines := after(0)
	for i, line := range lines {
		if got := line.Level.String() + " " + line.Text; i >= len(want) || got != want[i] || line.Seq != int64(i+1) || line.Time.IsZero() {
			t.Errorf("line %d: %q at %s", line.Seq, got, line.Time)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d", len(lines), len(want))
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("the next log has %d lines, want 2:\n%s", got, out.String())
	}
}

func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	log, after := pluginhost.Recorded(slog.DiscardHandler)
	for i := range 2345 {
		log.Info(fmt.Sprintf("line %d %s", i+1, strings.Repeat("x", 1<<20>>(i%20))))
	}
	tests := []struct {
		after, first int64
		count        int
	}{
		{-5, 1346, 1000}, {0, 1346, 1000}, {1345, 1346, 1000}, {1346, 1347, 999},
		{2344, 2345, 1}, {2345, 0, 0}, {1 << 62, 0, 0},
	}
	for _, test := range tests {
		lines := after(test.after)
		if len(lines) != test.count {
			t.Errorf("after %d: %d lines, want %d", test.after, len(lines), test.count)
			continue
		}
		for i, line := range lines {
			if want := fmt.Sprintf("line %d ", test.first+int64(i)); line.Seq != test.first+int64(i) || !strings.HasPrefix(line.Text, want) || len(line.Text) > 2<<10 {
				t.Errorf("after %d: line %d is %.30q", test.after, line.Seq, line.Text)
			}
		}
	}
}

// What a plugin writes is in its ring, and so is what the host says of it.
func TestLogOfPlugin(t *testing.T) {
	t.Parallel()
	w := start(t, quick(), "hclog", "healthy")
	w.says("survived")
	eventually(t, func() error {
		text := ""
		for _, line := range w.Log("hclog", 0) {
			text += line.Level.String() + " " + line.Text + "\n"
		}
		for _, want := range []string{"INFO the plugin is ready\n", "ERROR survived count=3\n", "plugin=healthy"} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("no %q in its log:\n%s", want, text)
			}
		}
		if strings.Contains(text, "HEALTHY_KEY") {
			return fmt.Errorf("another plugin's line is in its log:\n%s", text)
		}
		return nil
	})
}
