package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/metrics"
)

// figures are what a scraper gets.
func figures(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/-/metrics", nil))
	return w.Body.String()
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%q is missing in:\n%s", line, text)
		}
	}
}

func looks() metrics.Looks {
	return metrics.Looks{
		Plugins: func() []secrets.PluginStatus { return nil },
		State:   func() metrics.State { return metrics.State{} },
		Log:     func(context.Context) (metrics.Log, error) { return metrics.Log{}, nil },
	}
}

func TestNothingIsCountedWhenOff(t *testing.T) {
	t.Parallel()
	var off *metrics.Metrics
	off.Request("/", 200, time.Second)
	off.Read("demo", nil)
	off.ReadTook(time.Second)
	off.Commit(1, time.Second, nil)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	m := metrics.New("1.2.3", looks())
	for _, status := range []int{200, 204, 302, 404, 500, 0, 999} {
		m.Request("/", status, time.Millisecond)
	}
	m.Commit(64, 2*time.Millisecond, nil)
	m.Commit(1, 7*time.Second, errors.New("the disk is full"))
	text := figures(m)
	want(t, text,
		`datasette_secrets_http_requests_total{route="/",status="2xx"} 2`, `datasette_secrets_http_requests_total{route="/",status="3xx"} 1`,
		`datasette_secrets_http_requests_total{route="/",status="4xx"} 1`, `datasette_secrets_http_requests_total{route="/",status="5xx"} 1`,
		`datasette_secrets_http_requests_total{route="/",status="other"} 2`, `datasette_secrets_http_request_duration_seconds_count{route="/"} 7`,
		`datasette_secrets_commit_changes_bucket{le="64"} 2`, `datasette_secrets_commit_changes_bucket{le="32"} 1`, `datasette_secrets_commit_changes_sum 65`,
		`datasette_secrets_commit_failures_total 1`, `datasette_secrets_commit_duration_seconds_bucket{le="5"} 1`)
	if strings.Contains(text, "the disk is full") || !strings.Contains(text, `version="1.2.3"`) {
		t.Errorf("the figures are:\n%s", text)
	}
}

// Every class of error has a label of its own.
func TestEverySentinelHasAResult(t *testing.T) {
	t.Parallel()
	table := map[string]error{
		"ErrInvalid": secrets.ErrInvalid, "ErrDenied": secrets.ErrDenied, "ErrNotDeclared": secrets.ErrNotDeclared, "ErrNotApproved": secrets.ErrNotApproved,
		"ErrNotFound": secrets.ErrNotFound, "ErrNotSet": secrets.ErrNotSet, "ErrNotConfigured": secrets.ErrNotConfigured, "ErrSealed": secrets.ErrSealed,
		"ErrIntegrity": secrets.ErrIntegrity, "ErrUnavailable": secrets.ErrUnavailable,
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New("1", looks())
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if table[name.Name] == nil {
					t.Errorf("%s is missing in this test", name.Name)
					continue
				}
				m.Read(name.Name, fmt.Errorf("doing x: %w", table[name.Name]))
			}
		}
		return true
	})
	m.Read("none", nil)
	m.Read("other", errors.New("x"))
	m.Read("gone", fmt.Errorf("%w: %w", secrets.ErrUnavailable, context.Canceled))
	text := figures(m)
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "datasette_secrets_reads_total{"); ok {
			_, result, _ := strings.Cut(rest, "result=")
			if seen[result] {
				t.Errorf("two classes are %s", result)
			}
			seen[result] = true
		}
	}
	if len(seen) != len(table)+3 {
		t.Errorf("%d results: %v", len(seen), seen)
	}
	want(t, text, `datasette_secrets_reads_total{plugin="none",result="ok"} 1`, `datasette_secrets_reads_total{plugin="other",result="internal"} 1`,
		`datasette_secrets_reads_total{plugin="gone",result="canceled"} 1`, `datasette_secrets_reads_total{plugin="ErrNotDeclared",result="not-declared"} 1`)
}

// While the database does not answer, everything else is still told.
func TestStates(t *testing.T) {
	t.Parallel()
	l := looks()
	l.State = func() metrics.State {
		return metrics.State{Sealed: true, Waiting: 3, Damages: 2, Files: map[string]int64{"database": 4096}}
	}
	l.Plugins = func() []secrets.PluginStatus {
		return []secrets.PluginStatus{{Name: "demo", State: secrets.PluginBackoff, DroppedLog: 5}}
	}
	failing := true
	l.Log = func(ctx context.Context) (metrics.Log, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("looking at the log has no end")
		}
		if failing {
			return metrics.Log{}, secrets.ErrUnavailable
		}
		return metrics.Log{Entries: 12, Head: time.UnixMilli(1_700_000_000_500)}, nil
	}
	m := metrics.New("1", l)
	text := figures(m)
	want(t, text, "datasette_secrets_sealed 1", "datasette_secrets_configured 0", "datasette_secrets_commits_waiting 3", "datasette_secrets_integrity_errors_total 2",
		`datasette_secrets_database_bytes{file="database"} 4096`, `datasette_secrets_plugin_log_dropped_total{plugin="demo"} 5`)
	for _, state := range secrets.PluginStates() {
		is := 0
		if state == secrets.PluginBackoff {
			is = 1
		}
		want(t, text, fmt.Sprintf(`datasette_secrets_plugin_state{plugin="demo",state="%s"} %d`, state, is))
	}
	if strings.Contains(text, "log_entries") || strings.Contains(text, "log_head") {
		t.Errorf("figures that nobody knows:\n%s", text)
	}
	failing = false
	want(t, figures(m), "datasette_secrets_log_entries 12", "datasette_secrets_log_head_timestamp_seconds 1.7000000005e+09")
}
