package tests

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // reads the file as any program does

	secrets "github.com/datasette-secrets/datasette-secrets"
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
			p.Logs(t, "forged all")
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
	conn := dial(t, p)
	defer conn.Close()
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

// An entry of the audit log has the number that the answer to its request has,
// whatever the client says, and the address of the connection.
func TestRequestsOfTheAuditLog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "internal.db")
	probe := harness.NewProbe(t, "API_KEY")
	p := harness.Start(t, harness.Options{Args: append(probe.Args, "--internal", file, "-s", "permissions.manage-secrets.id", "root")})
	r := p.Do(t, harness.Request{
		Path: "/-/secrets/API_KEY", Actor: secrets.NewActor("root"), Form: url.Values{"secret": {"value"}, "note": {""}},
		Header: map[string]string{"X-Request-Id": "FORGEDFORGED2", "X-Forwarded-For": "203.0.113.9"},
	})
	for range 2 {
		if _, err := probe.Get(t, "API_KEY", "alice"); err != nil {
			t.Fatal(err)
		}
	}
	p.Stop(t)
	raw, err := sql.Open("sqlite3", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	entries := func(action string) (ids, remotes []string) {
		rows, err := raw.Query("select coalesce(request_id, ''), coalesce(remote, '') from datasette_secrets_log where action = ?", action)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id, remote string
			if err := rows.Scan(&id, &remote); err != nil {
				t.Fatal(err)
			}
			ids, remotes = append(ids, id), append(remotes, remote)
		}
		return ids, remotes
	}
	if ids, remotes := entries("put"); len(ids) != 1 || ids[0] != r.Header.Get("X-Request-Id") || remotes[0] != "127.0.0.1" {
		t.Errorf("the page's entries have %q from %q; the answer has %q", ids, remotes, r.Header.Get("X-Request-Id"))
	}
	own := regexp.MustCompile(`^[A-Z2-7]{13}$`)
	if ids, remotes := entries("get"); len(ids) != 2 || ids[0] == ids[1] || !own.MatchString(ids[0]) || !own.MatchString(ids[1]) || remotes[0] != "" {
		t.Errorf("the plugin's entries have %q from %q", ids, remotes)
	}
}
