package tests

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/pluginapi"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// scraped are the options of a host that tells a scraper its figures.
func scraped() []string {
	return []string{"-s", "plugins.datasette-secrets.metrics", "true", "-s", "permissions.view-metrics.id", "prometheus"}
}

// scraper returns the header by which that scraper is known.
func scraper(t *testing.T) map[string]string {
	t.Helper()
	made := harness.Run(t, "", "create-token", "prometheus", "--secret", harness.Secret, "-a", "view-metrics")
	if made.Code != 0 {
		t.Fatal(made.Stderr)
	}
	return map[string]string{"Authorization": "Bearer " + strings.TrimSpace(made.Stdout)}
}

// figureOf finds a figure, with its labels, in the text that a scraper gets.
func figureOf(figures, name string) (float64, error) {
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(figures)
	if m == nil {
		return 0, fmt.Errorf("there is no %s", name)
	}
	return strconv.ParseFloat(m[1], 64)
}

// A scraper with the token of docs/operating.md gets figures of what a plugin,
// a page and the log did, and nothing else of the host.
func TestFiguresOfARunningHost(t *testing.T) {
	t.Parallel()
	probe := harness.NewProbe(t, "API_KEY", "UNSET_KEY")
	p := harness.Start(t, harness.Options{Args: append(probe.Args,
		append(scraped(), "-s", "permissions.manage-secrets.id", "root")...)})
	bearer := scraper(t)
	if r := p.SetSecret(t, "API_KEY", "a-value", "", secrets.NewActor("root")); r.StatusCode != 302 {
		t.Fatalf("status %d", r.StatusCode)
	}
	for range 3 {
		if _, err := probe.Get(t, "API_KEY", "alice-the-reader"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := probe.Get(t, "UNSET_KEY", "alice-the-reader"); !errors.Is(err, pluginapi.ErrNotSet) {
		t.Fatal(err)
	}
	if _, err := probe.Get(t, "OTHER_KEY", "alice-the-reader"); !errors.Is(err, pluginapi.ErrDenied) {
		t.Fatal(err)
	}
	p.Get(t, "/-/api/v1/secrets/API_KEY", nil)
	figures := p.Do(t, harness.Request{Path: "/-/metrics", Header: bearer}).Text
	for figure, least := range map[string]float64{
		`reads_total{plugin="probe",result="ok"}`:                                   3,
		`reads_total{plugin="probe",result="not-set"}`:                              1,
		`reads_total{plugin="probe",result="not-declared"}`:                         1,
		`read_duration_seconds_count`:                                               5,
		`http_requests_total{route="/-/secrets/{name}",status="3xx"}`:               1,
		`http_requests_total{route="api /secrets/{name}",status="4xx"}`:             1,
		`commit_duration_seconds_count`:                                             4,
		`commit_changes_count`:                                                      4,
		`log_entries`:                                                               5,
		`plugin_state{plugin="probe",state="ready"}`:                                1,
		`database_bytes{file="database"}`:                                           4096,
		`http_request_duration_seconds_bucket{route="/-/secrets/{name}",le="+Inf"}`: 1,
		`configured`: 1,
	} {
		if value, err := figureOf(figures, "datasette_secrets_"+figure); err != nil || value < least {
			t.Errorf("%s is %v, want at least %v; %v in:\n%s", figure, value, least, err, figures)
		}
	}
	for _, private := range []string{"_KEY", "alice", "a-value", "prometheus\"", "127.0.0.1"} {
		if strings.Contains(figures, private) {
			t.Errorf("the figures tell %q:\n%s", private, figures)
		}
	}
	for _, path := range []string{"/-/secrets", "/-/plugins.json", "/-/config.json"} {
		if r := p.Do(t, harness.Request{Path: path, Header: bearer}); r.StatusCode != 403 {
			t.Errorf("the scraper's token opens %s: status %d", path, r.StatusCode)
		}
	}
}
