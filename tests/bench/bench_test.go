//go:build bench

// Package bench measures this host beside Python's Datasette with
// datasette-secrets, in one run on one machine, and prints ratios: machines
// differ and are noisy, ratios are what holds. "make bench" runs it and puts
// the table into docs/performance.md.
package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// row is one line of the table.
type row struct{ what, here, other, ratio, goal string }

// TestBench measures everything, one after the other, and writes the table. What a
// measurement started has ended before the next one, so that nothing disturbs
// anything else: a host that nobody asks still looks at its file.
func TestBench(t *testing.T) {
	var rows []row
	for _, one := range []struct {
		name    string
		measure func(*testing.T) []row
	}{
		{"start", startToFirstPage},
		{"page", pageOfManySecrets},
		{"read", getSecret},
		{"flat", flatReads},
		{"plugin", recordedReads},
		{"http", overHTTP},
		{"unseal", unsealing},
		{"sandbox", startOfPlugin},
		{"call", callOfPlugin},
	} {
		if !t.Run(one.name, func(t *testing.T) { rows = append(rows, one.measure(t)...) }) {
			return // the old table is better than half a new one
		}
	}
	table := render(rows)
	fmt.Println(table)
	write(t, table)
}

func manage() []string { return []string{"-s", "permissions.manage-secrets.id", "root"} }

// startToFirstPage is from the start of the process to its first answer.
func startToFirstPage(t *testing.T) []row {
	measure := func(start func(testing.TB, harness.Options) *harness.Process, args ...string) time.Duration {
		return median(7, func() time.Duration {
			file := filepath.Join(t.TempDir(), "internal.db")
			began := time.Now()
			p := start(t, harness.Options{Args: append(append(manage(), "--internal", file), args...)})
			if r := p.Get(t, "/-/secrets", secrets.NewActor("root")); r.StatusCode != 200 {
				t.Fatalf("status %d", r.StatusCode)
			}
			took := time.Since(began)
			p.Stop(t)
			return took
		})
	}
	plugins := harness.PluginDir(t, "demo", "plugins/demo")
	here := measure(harness.Start, "--plugins-dir", plugins)
	python := measure(harness.StartDatasette)
	return []row{{"start to first page, here with a plugin", ms(here), ms(python), ratio(here, python), "≤ 0.25"}}
}

const (
	manySecrets  = 1000
	manyVersions = 10 // of each
)

// pageOfManySecrets is the time of /-/secrets and the memory of the process
// after it and before.
func pageOfManySecrets(t *testing.T) []row {
	file := filepath.Join(t.TempDir(), "internal.db")
	fill(t, file, manySecrets, manyVersions)
	measure := func(p *harness.Process) time.Duration {
		if r := p.Get(t, "/-/secrets", secrets.NewActor("root")); r.StatusCode != 200 || !strings.Contains(r.Text, "SECRET_0999") {
			t.Fatalf("status %d", r.StatusCode)
		}
		return median(50, func() time.Duration { return timePage(t, p) })
	}
	idle := func(start func(testing.TB, harness.Options) *harness.Process) (*harness.Process, int) {
		p := start(t, harness.Options{Args: append(manage(), "--internal", file)})
		p.Get(t, "/-/actor.json", nil)
		time.Sleep(time.Second)
		return p, residentKB(t, p)
	}
	here, hereKB := idle(harness.Start)
	herePage := measure(here)
	here.Stop(t)
	python, pythonKB := idle(harness.StartDatasette)
	pythonPage := measure(python)
	return []row{
		{"`/-/secrets`, 1,000 secrets, 10,000 versions", ms(herePage), ms(pythonPage), ratio(herePage, pythonPage), "≤ 0.2"},
		{"memory at rest", mb(hereKB), mb(pythonKB), fmt.Sprintf("%.2f", float64(hereKB)/float64(pythonKB)), "< 40 MB"},
	}
}

// timePage is the time of the page over a connection that is open already, as
// a browser's is.
func timePage(t *testing.T, p *harness.Process) time.Duration {
	request, err := http.NewRequest(http.MethodGet, p.URL+"/-/secrets", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", "ds_actor="+harness.ActorCookie(t, secrets.NewActor("root")))
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// getSecret is reading one secret, its use recorded and synced to the disk,
// with one version in the table and with many.
func getSecret(t *testing.T) []row {
	const many = 100_000
	one, all := filepath.Join(t.TempDir(), "one.db"), filepath.Join(t.TempDir(), "all.db")
	fill(t, one, 1, 1)
	fill(t, all, 1, many)
	here := readHere(t, one, all)
	hereOne, hereAll := here[0], here[1]
	pythonOne, pythonAll := readPython(t, 1, 1), readPython(t, many, 1)
	return []row{
		{"`GetSecret`, 1 version", perSecond(hereOne), perSecond(pythonOne), ratio(hereOne, pythonOne), ""},
		{"`GetSecret`, 100,000 versions", perSecond(hereAll), perSecond(pythonAll), ratio(hereAll, pythonAll), ""},
		{"… 100,000 versions : 1 version", ratio(hereAll, hereOne), ratio(pythonAll, pythonOne), "", "≤ 1.1"},
	}
}

// readHere is how long a read takes in each of some files, which take turns, for
// the machine changes its pace.
func readHere(t *testing.T, files ...string) []time.Duration {
	const reads, rounds = 300, 11
	caller := secrets.Caller{Plugin: "bench", Actor: secrets.NewActor("root"), Proof: secrets.ProofAsserted}
	vaults, took := make([]*vault.Vault, len(files)), make([][]time.Duration, len(files))
	for i, file := range files {
		v, done := open(t, file)
		defer done()
		if err := v.Introduce(context.Background(), vault.Introduction{Plugin: "bench", Declarations: []secrets.Declaration{{Name: "SECRET_0000"}}}); err != nil {
			t.Fatal(err)
		}
		vaults[i] = v
	}
	for range rounds {
		for i, v := range vaults {
			began := time.Now()
			for range reads {
				if _, err := v.Get(context.Background(), caller, "SECRET_0000"); err != nil {
					t.Fatal(err)
				}
			}
			took[i] = append(took[i], time.Since(began)/reads)
		}
	}
	medians := make([]time.Duration, len(files))
	for i := range took {
		medians[i] = middle(took[i])
	}
	return medians
}

// readPython lets Python read from a file that it made itself, by so many callers
// at once, and returns the time for each value.
func readPython(t *testing.T, versions, callers int) time.Duration {
	var seconds float64
	harness.PythonScript(t, `
import asyncio, json, statistics, sys, time
from datasette.app import Datasette
from datasette import hookimpl
from datasette.plugins import pm
from cryptography.fernet import Fernet
from datasette_secrets import Secret, get_secret

class Declares:
    __name__ = "declares"
    @hookimpl
    def register_secrets(self):
        return [Secret("SECRET_0000")]

async def main():
    ds = Datasette(internal=sys.argv[1], config={"plugins": {"datasette-secrets": {"encryption-key": sys.argv[2]}}})
    pm.register(Declares(), name="declares")
    await ds.invoke_startup()
    token = Fernet(sys.argv[2]).encrypt(b"a value of usual length, 40 characters..")
    await ds.get_internal_database().execute_write("""
        with recursive n(v) as (select 1 union all select v + 1 from n where v < ?)
        insert into datasette_secrets (name, version, encrypted, encryption_key_name)
        select 'SECRET_0000', v, ?, 'default' from n""", [int(sys.argv[3]), token])
    async def each(reads):
        began = time.perf_counter()
        async def caller():
            for _ in range(reads):
                assert await get_secret(ds, "SECRET_0000", "root")
        await asyncio.gather(*[caller() for _ in range(callers)])
        return (time.perf_counter() - began) / reads / callers
    callers = int(sys.argv[4])
    await each(5)
    print(json.dumps(statistics.median([await each(40) for _ in range(5)])))

asyncio.run(main())
`, &seconds, filepath.Join(t.TempDir(), "internal.db"), harness.Key, fmt.Sprint(versions), fmt.Sprint(callers))
	return time.Duration(seconds * float64(time.Second))
}

// fill makes a file with secrets of so many versions each.
func fill(t *testing.T, file string, count, versions int) {
	t.Helper()
	ctx := context.Background()
	d, _, err := db.Open(ctx, file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	keys, err := keyring.Parse(harness.Key)
	if err != nil {
		t.Fatal(err)
	}
	value := secrets.NewValue("a value of usual length, 40 characters..")
	err = d.Update(ctx, func(tx *db.Tx) error {
		for i := range count {
			row := db.Row{Name: fmt.Sprintf("SECRET_%04d", i), Note: "a note", CreatedBy: "root"}
			for range versions {
				// Two rows with one token would be taken for a copy.
				if row.Encrypted, row.KeyName, err = keys.Encrypt(value, time.Now()); err != nil {
					return err
				}
				if _, _, err := tx.Insert(row, 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, file string) (*vault.Vault, func()) {
	t.Helper()
	d, _, err := db.Open(context.Background(), file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Parse(harness.Key)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.New(access.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return vault.New(vault.Config{DB: d, Keys: keys, Policy: policy, Now: time.Now}), func() { d.Close() }
}

func median(n int, measure func() time.Duration) time.Duration {
	var all []time.Duration
	for range n {
		all = append(all, measure())
	}
	return middle(all)
}

func middle[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// residentKB is the resident memory of a process in KiB.
func residentKB(t *testing.T, p *harness.Process) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(data)
	if m == nil {
		t.Fatal("no VmRSS")
	}
	fmt.Sscan(string(m[1]), &kb)
	return kb
}

func ms(d time.Duration) string           { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
func us(d time.Duration) string           { return fmt.Sprintf("%.0f µs", d.Seconds()*1e6) }
func mb(kb int) string                    { return fmt.Sprintf("%.0f MB", float64(kb)/1024) }
func ratio(a, b time.Duration) string     { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }
func perSecond(each time.Duration) string { return fmt.Sprintf("%.0f/s", 1/each.Seconds()) }

func render(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d processors, %s/%s, Datasette 1.0a41, datasette-secrets 0.3a0.\n\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| | here | other | ratio of times | goal |\n|---|---:|---:|---:|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.what, r.here, r.other, r.ratio, r.goal)
	}
	return b.String()
}

// write replaces the table of docs/performance.md.
func write(t *testing.T, table string) {
	t.Helper()
	path := filepath.Join(harness.Root(), "docs", "performance.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), "<!-- bench -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("docs/performance.md lacks the marks of the table")
	}
	text := before + "<!-- bench -->\n" + table + "<!-- end -->" + after
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
