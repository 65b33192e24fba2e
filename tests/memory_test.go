package tests

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A host that is asked much collects its garbage seldom, unless the environment says
// how memory is to be used; and what that takes is no memory while nobody asks.
func TestGarbageIsCollectedSeldom(t *testing.T) {
	t.Parallel()
	token := harness.Run(t, "", "create-token", "prometheus", "--secret", harness.Secret, "-a", "view-metrics")
	if token.Code != 0 {
		t.Fatal(token.Stderr)
	}
	scrape := harness.Request{Path: "/-/metrics", Header: map[string]string{"Authorization": "Bearer " + strings.TrimSpace(token.Stdout)}}
	figure := func(p *harness.Process, name string) float64 {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(p.Do(t, scrape).Text)
		if m == nil {
			t.Fatalf("there is no %s", name)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// start returns what a host takes, in bytes, and how often it collects while it
	// allocates so much.
	const much = 16 << 20
	start := func(env ...string) (takes, collections float64) {
		t.Helper()
		p := harness.Start(t, harness.Options{Env: env, Args: []string{
			"-s", "plugins.datasette-secrets.metrics", "true", "-s", "permissions.view-metrics.id", "prometheus"}})
		defer p.Stop(t)
		takes = figure(p, "process_resident_memory_bytes")
		before, allocated := figure(p, "go_gc_duration_seconds_count"), figure(p, "go_memstats_alloc_bytes_total")
		for figure(p, "go_memstats_alloc_bytes_total") < allocated+much {
		}
		return takes, figure(p, "go_gc_duration_seconds_count") - before
	}
	takes, seldom := start()
	for _, env := range []string{"GOGC=100", "GOMEMLIMIT=1GiB"} {
		least, often := start(env)
		if often < 3 || seldom > often/3 {
			t.Errorf("%v collections, and %v with %s", seldom, often, env)
		}
		if takes > least+much {
			t.Errorf("it takes %v bytes, and %v with %s", takes, least, env)
		}
	}
}
