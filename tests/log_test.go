package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// Whatever requests and plugins say, an event is one line of the log, and no
// line is another's.
func TestLogCannotBeForged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			plugins := t.TempDir()
			harness.AddPlugin(t, plugins, "forgelog", "tests/testdata/plugins/misbehave")
			p := harness.Start(t, harness.Options{Args: []string{"--log-format", format, "--log-level", "debug", "--plugins-dir", plugins}})
			eventually(t, "the plugin has written all", func() bool { return strings.Contains(p.Stderr.String(), "forged all") })
			for _, target := range []string{
				"/%0a%7B%22msg%22:%22forged%22%7D", "/\"}\u202eforged", "/\xff\xfeforged", "/-/auth-token?token=hidden-token", "/-/secrets/a%1b[2J",
			} {
				raw(t, p, "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: forged\r\nX-Forwarded-For: 203.0.113.9\r\nUser-Agent: forged\r\nConnection: close\r\n\r\n")
			}
			raw(t, p, "GET / HTTP/1.1\r\nHost: a\r\nBad header\x1b[2J forged\r\n\r\n")
			p.Stop(t)
			log := p.Stderr.String()
			line := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (DEBUG|INFO |WARN |ERROR) +\S+ +\S`)
			for text := range strings.Lines(log) {
				var event map[string]any
				if format == "json" && (json.Unmarshal([]byte(text), &event) != nil || event["msg"] == "forged") {
					t.Errorf("no event of the host: %q", text)
				}
				if format == "text" && !line.MatchString(text) {
					t.Errorf("no line of the host: %q", text)
				}
			}
			for _, odd := range []string{"\x1b", "\u202e", "\r", "\xff", "hidden-token", "203.0.113.9"} {
				if strings.Contains(log, odd) {
					t.Errorf("the log has %q:\n%s", odd, log)
				}
			}
			if n := strings.Count(log, "127.0.0.1"); n < 5 || !strings.Contains(log, "auth-token") {
				t.Errorf("the requests are not in the log:\n%s", log)
			}
		})
	}
}

// raw sends bytes and waits for the end of the answer.
func raw(t *testing.T, p *harness.Process, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
}

// The log is text at a terminal and JSON elsewhere, and either where it is asked
// for.
func TestLogFormats(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	p.Get(t, "/", nil)
	p.Stop(t)
	if log := p.Stderr.String(); !strings.HasPrefix(log, `{"time":"`) || strings.Contains(log, "DEBUG") {
		t.Errorf("for another program:\n%s", log)
	}
	screen := harness.AtTerminal(t, t.TempDir(), harness.Env(), "serve", "-p", "0", "-s", "plugins.datasette-secrets.encryption-key", harness.Key)
	screen.Await(t, "serving on http")
	if shown := screen.Shown(); !regexp.MustCompile(`\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m INFO `).MatchString(shown) {
		t.Errorf("at a terminal: %q", shown)
	}
	for _, wrong := range [][]string{{"--log-format", "xml"}, {"--log-level", "loud"}} {
		if r := harness.Run(t, "", wrong...); r.Code != 2 || !strings.Contains(r.Stderr, wrong[0]) {
			t.Errorf("%v: exit code %d\n%s", wrong, r.Code, r.Stderr)
		}
	}
}
