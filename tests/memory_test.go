package tests

import (
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A host that is asked much collects its garbage seldom, unless the environment says
// how memory is to be used; at rest it takes no more for that.
func TestGarbageIsCollectedSeldom(t *testing.T) {
	t.Parallel()
	scrape := harness.Request{Path: "/-/metrics", Header: scraper(t)}
	figure := func(p *harness.Process, name string) float64 {
		t.Helper()
		n, err := figureOf(p.Do(t, scrape).Text, name)
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
		p := harness.Start(t, harness.Options{Env: env, Args: scraped()})
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
