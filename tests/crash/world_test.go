package crash

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fernet/fernet-go"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/audit"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/source"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

const (
	readers = 48 // goroutines of the plugin
	writers = 16 // visitors who store values
)

// names are the secrets that the plugin reads.
func names() []string { return []string{"ONE", "TWO", "THREE", "FOUR"} }

// world is a database, the hosts that live and die on it, and what is known of
// it from outside: the reads that were answered, and the writes that were
// acknowledged.
type world struct {
	file    string
	notes   string // of the plugin
	plugins string
	cookie  string
	chance  *rand.Rand
	disk    *harness.Disk // nil: the machine's
	lives   int

	host *harness.Process
	stop chan struct{}
	load sync.WaitGroup

	mu     sync.Mutex
	stored []stored // acknowledged and not checked yet
	told   int64    // bytes of the notes that were checked
	mark   int64    // bytes of the notes that count for nothing

	heads   string // file of signed heads that are kept beside the database
	mode    string // of the log
	keep    int    // entries of the log that stay readable; 0 for all
	mayLose bool   // of the reads that were answered last, the log may lack some

	reads, writes, lost int
}

// stored is a write that was acknowledged.
type stored struct{ name, value string }

// newWorld is a world with a new database. Its programs are built before that
// is called in parallel.
func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	return &world{
		file: filepath.Join(t.TempDir(), "secrets.db"), notes: filepath.Join(t.TempDir(), "notes"), heads: filepath.Join(t.TempDir(), "heads"),
		plugins: harness.PluginDir(t, "reader", "tests/testdata/plugins/reader"),
		cookie:  "ds_actor=" + harness.ActorCookie(t, secrets.NewActor("root")),
		chance:  rand.New(rand.NewPCG(seed, seed)),
	}
}

// env is what the next host gets of its disk.
func (w *world) env() []string {
	if w.disk == nil {
		return nil
	}
	return w.disk.Env
}

// args are those of the next host.
func (w *world) args(readers int) []string {
	w.lives++
	args := []string{
		"--internal", w.file, "--plugins-dir", w.plugins, "-s", "permissions.manage-secrets.id", "root",
		"-s", "plugins.datasette-secrets.sandbox", "off", "-s", "plugins.reader.readers", fmt.Sprint(readers),
		"-s", "plugins.reader.life", fmt.Sprintf("%q", fmt.Sprint(w.lives)), "-s", "plugins.reader.notes", w.notes,
		"-s", "plugins.datasette-secrets.audit", fmt.Sprintf(`{"mode": %q, "heads": [%q]}`, cmp.Or(w.mode, "durable"), w.heads),
	}
	if w.keep > 0 {
		args = append(args, "-s", "plugins.datasette-secrets.log.keep", fmt.Sprint(w.keep))
	}
	return args
}

// live starts a host and its load.
func (w *world) live(t *testing.T, readers, writers int) {
	t.Helper()
	w.host = harness.Start(t, harness.Options{Env: w.env(), Args: w.args(readers)})
	w.stop = make(chan struct{})
	client := &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{MaxIdleConnsPerHost: writers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i := range writers {
		w.load.Go(func() { w.write(t, client, w.host.URL, i) })
	}
}

// write stores one value after the other until the host is gone.
func (w *world) write(t *testing.T, client *http.Client, address string, number int) {
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		s := stored{names()[(number+n)%len(names())], fmt.Sprintf("v-%d-%d-%d", w.lives, number, n)}
		status, err := w.put(client, address, s)
		switch {
		case err != nil:
			return // the host was killed
		case status == http.StatusFound:
			w.mu.Lock()
			w.stored = append(w.stored, s)
			w.mu.Unlock()
		default:
			t.Errorf("storing a value: status %d", status)
			return
		}
	}
}

// put stores a value and returns the status of the answer.
func (w *world) put(client *http.Client, address string, s stored) (int, error) {
	form := url.Values{"secret": {s.value}, "note": {""}}
	r, err := http.NewRequest(http.MethodPost, address+"/-/secrets/"+s.name, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Cookie", w.cookie)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

// awaitNotes waits until the plugin has noted so many more lines.
func (w *world) awaitNotes(t *testing.T, more int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		data, _ := os.ReadFile(w.notes)
		if int64(len(data)) > w.told && bytes.Count(data[w.told:], []byte("\n")) >= more {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the plugin reads nothing:\n%s", w.host.Stderr)
		}
	}
}

// die kills the host at a random moment of its work.
func (w *world) die(t *testing.T) {
	t.Helper()
	w.awaitNotes(t, 1+w.chance.IntN(200))
	time.Sleep(time.Duration(w.chance.IntN(50_000)) * time.Microsecond)
	w.host.Kill()
	close(w.stop)
	w.load.Wait()
}

// dieOld kills the host at a random moment after it has signed a head, when it
// may be pruning the log.
func (w *world) dieOld(t *testing.T) {
	t.Helper()
	before := len(w.kept(t))
	for end := time.Now().Add(time.Minute); len(w.kept(t)) == before; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no head is signed:\n%s", w.host.Stderr)
		}
	}
	w.die(t)
}

// kept are the signed heads that are kept beside the database. The last one may
// be cut off.
func (w *world) kept(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(w.heads)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	whole := bytes.LastIndex(data, []byte("\n\n")) // an empty line ends each
	if whole < 0 {
		return nil
	}
	heads, err := audit.SplitHeads(string(data[:whole+2]))
	if err != nil {
		t.Fatal(err)
	}
	return heads
}

// dieYoung starts a host and kills it at a random moment, which most often lies
// in its start.
func (w *world) dieYoung(t *testing.T) {
	t.Helper()
	args := append([]string{"serve", "-p", "0", "--secret", harness.Secret, "-s", "plugins.datasette-secrets.encryption-key", harness.Key}, w.args(readers)...)
	cmd := exec.Command(harness.Binary(t), args...)
	cmd.Env, cmd.Dir = harness.Env(w.env()...), t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(w.chance.IntN(300_000)) * time.Microsecond)
	cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
}

// entry is what the log says of a read.
type entry struct {
	name    string
	version int64
}

// check opens what is left and compares it with what is known.
func (w *world) check(t *testing.T) {
	t.Helper()
	verify(t, w.file, w.kept(t))
	raw, err := sql.Open("sqlite3", "file:"+w.file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	values, puts, gets := versions(t, raw), map[entry]bool{}, map[string]entry{}
	rows(t, raw, `select action, coalesce(actor_id, ''), name, version from datasette_secrets_log
		where action in ('get', 'put') and allowed = 1 and name is not null`, func(scan func(...any) error) error {
		var action, actor string
		var e entry
		err := scan(&action, &actor, &e.name, &e.version)
		if action == "get" {
			gets[actor] = e
		} else {
			puts[e] = true
		}
		return err
	})
	for _, line := range w.answered(t) {
		fields := strings.SplitN(line, " ", 3)
		if fields[0] == "-" {
			continue
		}
		e, found := gets[fields[0]]
		if !found && (w.mayLose || w.keep > 0) {
			w.lost++
			continue
		}
		if !found || e.name != fields[1] || values[e] != fields[2] {
			t.Errorf("the plugin was answered %q; the log has %v (%v), which was %q", line, e, found, values[e])
		}
		w.reads++
	}
	kept := map[stored]entry{}
	for e, value := range values {
		kept[stored{e.name, value}] = e
	}
	for _, s := range w.stored {
		e, found := kept[s]
		if !found || !puts[e] && w.keep == 0 {
			t.Errorf("%v was acknowledged; the table has it: %v, the log: %v", s, found, puts[e])
		}
		w.writes++
	}
	w.stored = nil
}

// answered are the notes that were not checked yet.
func (w *world) answered(t *testing.T) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(w.notes)
	if err != nil {
		t.Fatal(err)
	}
	fresh := data[w.told:]
	fresh = fresh[:bytes.LastIndexByte(fresh, '\n')+1]
	w.told += int64(len(fresh))
	for line := range strings.Lines(string(fresh)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// versions are the values of all versions in the table, read as any program
// reads them that has the key.
func versions(t *testing.T, raw *sql.DB) map[entry]string {
	t.Helper()
	key := fernet.MustDecodeKeys(harness.Key)
	all := map[entry]string{}
	rows(t, raw, "select name, version, encrypted from datasette_secrets", func(scan func(...any) error) error {
		var e entry
		var token []byte
		err := scan(&e.name, &e.version, &token)
		value := fernet.VerifyAndDecrypt(token, 0, key)
		if value == nil {
			t.Errorf("version %d of %s cannot be decrypted", e.version, e.name)
		}
		all[e] = string(value)
		return err
	})
	return all
}

func rows(t *testing.T, raw *sql.DB, query string, each func(scan func(...any) error) error) {
	t.Helper()
	found, err := raw.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		if err := each(found.Scan); err != nil {
			t.Fatal(err)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
}

// verify is what "audit verify" does, on a file that no host has open.
func verify(t *testing.T, file string, kept []string) {
	t.Helper()
	opened, _, err := db.Open(context.Background(), file, time.Now)
	if err != nil {
		t.Fatalf("opening what is left: %v", err)
	}
	defer opened.Close()
	if err := opened.CheckAll(t.Context()); err != nil {
		t.Errorf("the file is damaged: %v", err)
	}
	keys, err := keyring.Parse(harness.Key)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.New(access.Config{})
	if err != nil {
		t.Fatal(err)
	}
	door := vault.New(vault.Config{
		DB: opened, Keys: keys, Policy: policy, Now: time.Now,
		Environment: source.Environment{Lookup: func(string) (string, bool) { return "", false }},
	})
	check, err := door.VerifyLog(t.Context(), host.Operator(), nil, kept)
	if err != nil {
		t.Fatalf("verifying the log: %v", err)
	}
	for _, problem := range check.Bad {
		t.Errorf("the log: %s", problem)
	}
}
