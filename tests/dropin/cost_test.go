package dropin_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// mostCost is how many times the time of PyPI's datasette-secrets a page may
// take. That is the time of processors, for other programs run beside the
// tests; and this host may have been built to look for races, which makes it
// slow. docs/datasette.md has what is measured without.
const mostCost = 1.25

// A page of datasette-extract asks for a key once for each of 33 models. That
// costs no more than with PyPI's datasette-secrets, which writes its database
// each time.
func TestCostOfAPage(t *testing.T) {
	t.Parallel()
	data := table(t)
	w := newWorld(t, "OPENAI_API_KEY")
	w.set(t, "OPENAI_API_KEY", "sk-hunter2")
	dropin := w.datasetteWith(t, w.socket, nil, data)
	upstream := startUpstream(t, data, "--internal", filepath.Join(t.TempDir(), "internal.db"))
	if r := upstream.SetSecret(t, "OPENAI_API_KEY", "sk-hunter2", "", root()); r.StatusCode != http.StatusFound {
		t.Fatal(r.Status)
	}
	cost := func(p *harness.Process, all ...*harness.Process) (ticks int) {
		t.Helper()
		const pages = 10
		for i := range pages + 1 {
			if i == 1 { // the first one has more to do
				ticks = -worked(t, all...)
			}
			shows(t, p, "/data/docs", "Extract data into this table with AI")
		}
		return ticks + worked(t, all...)
	}
	theirs, ours := cost(upstream, upstream), cost(dropin, dropin, w.Process)
	ratio := float64(ours) / float64(theirs)
	t.Logf("%d ticks of processors with PyPI's datasette-secrets, %d with a host: %.2f", theirs, ours, ratio)
	if ratio > mostCost {
		t.Errorf("a page costs %.1f times as much as with PyPI's datasette-secrets", ratio)
	}
}

// worked is how long processors have worked for processes, in ticks of the
// clock.
func worked(t *testing.T, all ...*harness.Process) (ticks int) {
	t.Helper()
	for _, p := range all {
		stat := readFile(t, fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
		// What comes before may have spaces in it.
		fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return ticks
}

// startUpstream starts Datasette with the same plugins and PyPI's
// datasette-secrets.
func startUpstream(t *testing.T, args ...string) *harness.Process {
	t.Helper()
	folder := t.TempDir()
	found, err := filepath.Glob(filepath.Join(harness.Root(), ".venv", "lib", "python*", "site-packages", "datasette_secrets*"))
	if err != nil || len(found) != 2 {
		t.Fatalf("PyPI's datasette-secrets: %v, %v", found, err)
	}
	for _, path := range found {
		if err := os.Symlink(path, filepath.Join(folder, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	python := harness.Dropin(t)
	paths := folder + string(os.PathListSeparator) + filepath.Join(harness.Root(), ".venv", "dropin")
	p := harness.StartDatasetteOf(t, python, harness.Options{Args: append([]string{"--root"}, args...), Env: []string{"PYTHONPATH=" + paths}})
	if list := p.Get(t, "/-/plugins.json", root()).Text; !strings.Contains(list, `"version": "0.3a0"`) {
		t.Fatalf("not PyPI's datasette-secrets: %s", list)
	}
	return p
}
