//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const (
	httpConnections = 64
	httpReads       = 400 // of each connection
	httpStarts      = 5   // of both programs: one start of a program differs from the next by a twentieth
	httpRounds      = 6   // after each start; the first one warms up
)

// overHTTP is reading a secret over HTTP, each use recorded and synced to
// the disk before it is answered, beside a bare Go handler that answers with the
// same JSON.
func overHTTP(t *testing.T) []row {
	var times, tails []float64
	var here, there load
	for range httpStarts {
		p, token := startWithClient(t)
		bare := startJSONHandler(t)
		request := "GET /-/api/v1/secrets/SECRET_0000?actor=root HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		for i := range httpRounds { // side by side, for the machine changes its pace
			there = measureHTTP(t, bare.URL, request)
			here = measureHTTP(t, p.URL, request)
			if i > 0 {
				times = append(times, float64(here.each)/float64(there.each))
				tails = append(tails, float64(here.p99)/float64(there.p99))
			}
		}
		p.Stop(t)
		bare.Stop(t)
	}
	return []row{
		{"HTTP read of a secret, recorded, 64 connections, and a bare Go handler", perSecond(here.each), perSecond(there.each), fmt.Sprintf("%.2f", middle(times)), "≤ 2"},
		{"… of which 99 % end within", us(here.p99), us(there.p99), fmt.Sprintf("%.2f", middle(tails)), "≤ 3"},
	}
}

// startWithClient starts a host with one secret, and a client that may read it.
func startWithClient(t *testing.T) (p *harness.Process, token string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "internal.db")
	fill(t, file, 1, 1)
	p = harness.Start(t, harness.Options{Args: []string{"--internal", file}})
	console, err := host.OpenConsole(context.Background(), host.Config{Internal: file})
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	made, err := console.AddClient(context.Background(), host.NewClient{Name: "bench", Secrets: []string{"SECRET_0000"}})
	if err != nil {
		t.Fatal(err)
	}
	return p, made.Reveal()
}

// startJSONHandler starts the bare handler.
func startJSONHandler(t *testing.T) *harness.Process {
	t.Helper()
	return harness.Serve(t, exec.Command(harness.Build(t, "tests/testdata/jsonhandler")), regexp.MustCompile(`serving on (http://\S+)`))
}

// load is what a run came to.
type load struct {
	each time.Duration // the time of the run, by answers
	p99  time.Duration
}

// measureHTTP sends requests over connections that stay open, as fast as they
// are answered. It does as little as it can: it shares the machine with what it
// measures.
func measureHTTP(t *testing.T, base, request string) load {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	took := make([][]time.Duration, httpConnections)
	failures := make(chan error, httpConnections)
	began := time.Now()
	for i := range took {
		group.Go(func() {
			var err error
			if took[i], err = harness.AskOver(u.Host, request, httpReads); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	whole := time.Since(began)
	select {
	case err := <-failures:
		t.Fatal(err)
	default:
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return load{whole / time.Duration(len(all)), all[len(all)*99/100]}
}
