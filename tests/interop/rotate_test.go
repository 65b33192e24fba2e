package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/access"
	"github.com/datasette-secrets/datasette-secrets/internal/db"
	"github.com/datasette-secrets/datasette-secrets/internal/keyring"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// rotated is a file of many secrets whose keys are in a key file, and what is
// in it.
type rotated struct {
	file, keys string

	mu     sync.Mutex
	values map[string][]string // by name, oldest version first
}

// newRotated makes a file of so many rows, in five versions of each name.
func newRotated(t *testing.T, rows int) *rotated {
	t.Helper()
	r := &rotated{file: newFile(t), keys: filepath.Join(t.TempDir(), "secrets.key"), values: map[string][]string{}}
	write(t, r.keys, newKey(t)+"\n")
	door := r.open(t)
	var writing sync.WaitGroup
	for i := range rows / 5 {
		name := fmt.Sprintf("SECRET_%d", i)
		if i < len(names()) {
			name = names()[i] // which plugins declared
		}
		var values []string
		for version := range 5 {
			values = append(values, fmt.Sprintf("%s %d %s", name, version, strings.Repeat("x", i%100)))
		}
		r.values[name] = values
		writing.Go(func() {
			for _, value := range values {
				if _, err := door.Put(t.Context(), administrator(), name, secrets.NewValue(value), ""); err != nil {
					t.Errorf("storing %s: %v", name, err)
				}
			}
		})
	}
	writing.Wait()
	return r
}

func administrator() secrets.Caller {
	return secrets.Caller{Actor: root(), Proof: secrets.ProofLocal}
}

// open opens the file as commands do, with the keys that the key file has.
func (r *rotated) open(t *testing.T) *vault.Vault {
	t.Helper()
	opened, _, err := db.Open(t.Context(), r.file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	policy, err := access.New(access.Config{Root: true})
	if err != nil {
		t.Fatal(err)
	}
	return vault.New(vault.Config{DB: opened, Keys: r.ring(t), Policy: policy, AllowUndeclared: true, Now: time.Now})
}

func (r *rotated) ring(t *testing.T) *keyring.Keyring {
	t.Helper()
	text, err := os.ReadFile(r.keys)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(string(text))
	if err != nil {
		t.Fatalf("the key file is damaged: %v", err)
	}
	return ring
}

// stored notes that a value was accepted as the newest version.
func (r *rotated) stored(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[name] = append(r.values[name], value)
}

// expected are the values of a name, oldest first.
func (r *rotated) expected(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[name]
}

func (r *rotated) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{"key"}, append(args, "--internal", r.file, "-s", keySetting+".$file", r.keys)...)
	cmd := exec.Command(harness.Binary(t), args...)
	cmd.Env = harness.Env()
	return cmd
}

// run runs a command about keys to its end.
func (r *rotated) run(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := r.command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("key %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String()
}

// kill starts a rotation and ends it without warning after a while. killed is
// false when it had ended before.
func (r *rotated) kill(t *testing.T, after time.Duration, args ...string) (killed bool) {
	t.Helper()
	cmd := r.command(t, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("key %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return false
}

// everythingIsReadable opens every row with the keys that there are, and
// compares every value.
func (r *rotated) everythingIsReadable(t *testing.T) {
	t.Helper()
	ring := r.ring(t)
	seen := map[string]int{}
	for _, row := range r.rows(t) {
		value, err := ring.Open(keyring.Place{
			Name: row.Name, Version: row.Version, KeyName: row.KeyName, Deleted: row.Deleted(),
		}, row.Encrypted, row.Binding)
		if err != nil {
			t.Fatalf("version %d of %s cannot be read: %v", row.Version, row.Name, err)
		}
		if row.Binding == nil {
			t.Errorf("version %d of %s has no binding", row.Version, row.Name)
		}
		seen[fmt.Sprint(row.Name, " ", row.Version, " ", value.Reveal())]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, values := range r.values {
		for i, value := range values {
			if n := seen[fmt.Sprint(name, " ", i+1, " ", value)]; n != 1 {
				t.Errorf("version %d of %s with its value is there %d times", i+1, name, n)
			}
		}
	}
}

func (r *rotated) rows(t *testing.T) (rows []db.Row) {
	t.Helper()
	opened, _, err := db.Open(t.Context(), r.file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	err = opened.View(t.Context(), func(tx *db.Tx) (err error) {
		rows, err = tx.RowsAfter(0, 1_000_000, 1<<30)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// mostLoad is how many versions a writer adds at most: a rotation that is looked
// at for long must not become one of ever more rows.
const mostLoad = 100

// load writes through a host's pages until ctx ends, a new version once in ten
// times and a note otherwise, and tells how often it wrote.
func (r *rotated) load(ctx context.Context, t *testing.T, host *harness.Process, name string) (writes int) {
	v := newVisitor(t, host, "root")
	for ; ctx.Err() == nil; writes++ {
		form := url.Values{"note": {fmt.Sprint(writes)}}
		value := fmt.Sprintf("load %s %d", name, writes)
		adds := writes%10 == 0 && writes/10 < mostLoad
		if adds {
			form.Set("secret", value)
		}
		if status, text := v.visit("/-/secrets/"+name, form); status != http.StatusFound {
			t.Errorf("writing to %s during a rotation: status %d\n%s", name, status, text)
			return writes
		}
		if adds {
			r.stored(name, value)
		}
		time.Sleep(breath)
	}
	return writes
}

// A rotation that is killed at any moment, while a host serves and stores,
// leaves every secret readable; --resume finishes it; the old keys can be
// retired; and Python reads everything with the new key.
func TestRotationIsKilled(t *testing.T) {
	t.Parallel()
	rows, kills := 400, 4
	if harness.Soak() {
		rows, kills = 2000, 200
	}
	r := newRotated(t, rows)
	probe := harness.NewProbe(t, names()...)
	args := append([]string{"--internal", r.file, "--root", "-s", keySetting + ".$file", r.keys}, append(undeclared(), probe.Args...)...)
	host := harness.Start(t, harness.Options{NoKey: true, Args: args})

	began := time.Now()
	r.run(t, "rotate")
	whole := time.Since(began)
	r.everythingIsReadable(t)

	loading, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	var loads [2]int
	for i, name := range []string{"SHARED", "LOADED"} {
		writers.Go(func() { loads[i] = r.load(loading, t, host, name) })
	}
	done, amid, finished, command := 0, 0, 0, "rotate"
	for done < kills {
		arguments := []string{command}
		if command == "resume" {
			arguments = []string{"rotate", "--resume"}
		}
		if r.kill(t, time.Duration(rand.Int64N(int64(whole))), arguments...) {
			if done++; done%20 == 0 {
				t.Logf("%d kills", done)
			}
			command = "resume" // unless it was killed before it began
			switch first, others := r.named(t); {
			case others == 0:
				command = "rotate"
			case first > 2*mostLoad: // more than what was stored meanwhile
				amid++
			}
		} else {
			finished++
			command = "rotate"
			r.retireAll(t)
		}
		if len(r.ring(t).Names()) > 20 {
			r.run(t, "rotate", "--resume")
			r.retireAll(t)
		}
		for _, name := range names() {
			got, err := probe.Get(t, name, "reader")
			if values := r.expected(name); name != "SHARED" && (err != nil || got != values[len(values)-1]) {
				t.Fatalf("after %d kills the host reads %q, %v of %s", done, got, err, name)
			}
		}
		if t.Failed() {
			break
		}
	}
	stop()
	writers.Wait()
	t.Logf("%d kills, %d of them with rows under two keys, %d rotations that ended before, %d and %d writes meanwhile; a whole rotation took %v", done, amid, finished, loads[0], loads[1], whole)
	r.everythingIsReadable(t)
	r.run(t, "rotate", "--resume")
	r.everythingIsReadable(t)
	r.onlyTheFirstKeyIsNeeded(t)
	r.retireAll(t)
	if log := host.Stderr.String(); strings.Contains(log, "cannot be trusted") {
		t.Errorf("the host distrusted something:\n%s", log)
	}
	host.Stop(t)
	r.everythingIsReadable(t)
	r.pythonReadsAll(t)
}

// named counts the rows that name the key that encrypts, and the others.
func (r *rotated) named(t *testing.T) (first, others float64) {
	t.Helper()
	name := r.ring(t).Names()[0]
	for _, row := range query(t, r.file, "select encryption_key_name as name, count(*) as rows from datasette_secrets group by 1") {
		if row["name"] == name {
			first = row["rows"].(float64)
		} else {
			others += row["rows"].(float64)
		}
	}
	return first, others
}

// retireAll takes every key away but the one that encrypts.
func (r *rotated) retireAll(t *testing.T) {
	t.Helper()
	for names := r.ring(t).Names(); len(names) > 1; names = r.ring(t).Names() {
		r.run(t, "retire", names[len(names)-1])
	}
}

func (r *rotated) onlyTheFirstKeyIsNeeded(t *testing.T) {
	t.Helper()
	var status struct {
		Finished bool
		Damages  int
		Keys     []struct{ Rows int }
	}
	out, _ := r.run(t, "status", "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	for i, key := range status.Keys {
		if i > 0 && key.Rows > 0 {
			t.Errorf("%d rows are on an old key", key.Rows)
		}
	}
	if !status.Finished || status.Damages > 0 {
		t.Errorf("the status is %s", out)
	}
}

// pythonReadsAll has Python decrypt every row with the key that is left, and
// read the newest versions with its own get_secret.
func (r *rotated) pythonReadsAll(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.keys)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(text))
	var rows [][3]any
	script(t, "decrypt.py", &rows, r.file, key)
	seen := map[string]bool{}
	for _, row := range rows {
		seen[fmt.Sprint(row[:]...)] = true
	}
	n := 0
	for name, values := range r.values {
		for i, value := range values {
			n++
			if !seen[fmt.Sprint(name, float64(i+1), value)] {
				t.Errorf("Python does not find version %d of %s with its value", i+1, name)
			}
		}
	}
	if len(rows) != n {
		t.Errorf("%d rows, want %d", len(rows), n)
	}
	python := pythonWithKey(t, r.file, key)
	for _, name := range names() {
		values := r.values[name]
		if got := readPython(t, python, name, "reader"); got != values[len(values)-1] {
			t.Errorf("Python reads %v of %s", got, name)
		}
	}
}

// Commands that are ended in order, or run at once, do no harm either.
func TestRotationsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRotated(t, 200)
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			cmd := r.command(t, "rotate")
			if out, err := cmd.CombinedOutput(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	interrupted := r.command(t, "rotate")
	if err := interrupted.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = interrupted.Process.Signal(syscall.SIGINT) })
	_ = interrupted.Wait()
	running.Wait()
	r.everythingIsReadable(t)
	r.run(t, "rotate", "--resume")
	r.onlyTheFirstKeyIsNeeded(t)
	r.retireAll(t)
	r.everythingIsReadable(t)
}

// A person sees a bar, a log gets a line for every tenth, and a program only
// what it asked for.
func TestProgressOfARotation(t *testing.T) {
	t.Parallel()
	r := newRotated(t, 600)
	args := r.command(t, "rotate").Args[1:]
	p := harness.AtTerminal(t, "", harness.Env(), args...)
	if code := p.Wait(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.Shown())
	}
	for _, want := range []string{"\r[#", "-] 256 of 600 rows", "#] 600 of 600 rows", "600 of 600 rows were put under the key k2."} {
		if !strings.Contains(p.Shown(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, p.Shown())
		}
	}
	_, stderr := r.run(t, "rotate")
	for _, want := range []string{"\n40 %: 256 of 600 rows\n", "\n100 %: 600 of 600 rows\n"} {
		if !strings.Contains(stderr, want) || strings.Contains(stderr, "#") {
			t.Errorf("the log does not have %q:\n%s", want, stderr)
		}
	}
	stdout, stderr := r.run(t, "rotate", "--json")
	if strings.Contains(stderr, "%") || !strings.Contains(stdout, `"renewed": 600`) {
		t.Errorf("a program gets\n%s\nand\n%s", stdout, stderr)
	}
}

// Keys that the configuration names one by one are changed by editing it: the
// running host takes over each edit that can be read.
func TestKeysOfAConfigurationAreChanged(t *testing.T) {
	t.Parallel()
	file, folder := newFile(t), t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	configuration := path("c.yml")
	configure := func(keys string) {
		t.Helper()
		// As an editor does it: at once.
		write(t, path("c.new"), "plugins:\n  datasette-secrets:\n    encryption-key: "+keys+"\n")
		if err := os.Rename(path("c.new"), configuration); err != nil {
			t.Fatal(err)
		}
	}
	command := func(code int, args ...string) string {
		t.Helper()
		r := harness.Run(t, folder, append(args, "--internal", file, "-c", configuration)...)
		if r.Code != code {
			t.Fatalf("%v: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
		return r.Stdout + r.Stderr
	}
	old, fresh := newKey(t), path("fresh.key")
	configure(fmt.Sprintf("{$file: %s}", path("old.key")))
	write(t, path("old.key"), old+"\n")
	probe := harness.NewProbe(t, names()...)
	args := append([]string{"--internal", file, "--root", "-c", configuration}, probe.Args...)
	host := harness.Start(t, harness.Options{NoKey: true, Args: args})
	set(t, host, "ALPHA", "under the old key", "")

	command(2, "key", "rotate", "-s", keySetting, old) // a key in the arguments cannot be changed there
	harness.Run(t, folder, "key", "add", "--out", fresh)
	list := fmt.Sprintf("[{name: fresh, key: {$file: %s}}, {$file: %s}]", fresh, path("old.key"))
	configure(list)
	if out := command(0, "key", "rotate"); !strings.Contains(out, "1 of 1 rows were put under the key fresh") {
		t.Errorf("the rotation says: %s", out)
	}
	expectValue(t, probe, "ALPHA", "under the old key")
	set(t, host, "BETA", "under the new key", "")
	if keys := query(t, file, "select distinct encryption_key_name as name from datasette_secrets"); len(keys) != 1 || keys[0]["name"] != "fresh" {
		t.Errorf("the rows name the keys %v", keys)
	}
	if out := command(2, "key", "rotate"); !strings.Contains(out, "names its keys one by one") {
		t.Errorf("the second rotation says: %s", out)
	}

	configure("[not a key")
	set(t, host, "ALPHA", "still", "")
	host.Logs(t, "the host goes on with those that it has")
	configure(list)
	if out := command(0, "key", "retire", "default"); !strings.Contains(out, "Take it out of") {
		t.Errorf("retiring says: %s", out)
	}
	configure(fmt.Sprintf("{$file: %s}", fresh))
	set(t, host, "ALPHA", "in the end", "")
	expectValue(t, probe, "BETA", "under the new key")
	if out := command(0, "key", "status"); !strings.Contains(out, "key rotate --resume") { // rows name it "fresh"
		t.Errorf("the status says: %s", out)
	}
	command(0, "key", "rotate", "--resume")
	host.Stop(t)
	host, probe = hostWithKeys(t, file, map[string]any{"$file": fresh})
	expectValue(t, probe, "ALPHA", "in the end")
	shows(t, host, "/-/secrets/ALPHA", "version 3")
}

// Of a key file with several lines Python takes the first key, so that it reads
// what was rotated without being told.
func TestPythonReadsAKeyFileOfSeveralLines(t *testing.T) {
	t.Parallel()
	r := newRotated(t, 5*len(names()))
	args := []string{"--internal", r.file, "--root", "--plugins-dir", pythonPlugins(t), "-s", keySetting + ".$file", r.keys}
	python := harness.StartDatasette(t, harness.Options{NoKey: true, Args: args})
	name := names()[0]
	newest := func() string { values := r.values[name]; return values[len(values)-1] }
	if got := readPython(t, python, name, "reader"); got != newest() {
		t.Errorf("Python reads %v", got)
	}
	r.run(t, "rotate")
	if got := readPython(t, python, name, "reader"); got != newest() {
		t.Errorf("after the rotation Python reads %v", got)
	}
	set(t, python, name, "of Python", "")
	r.stored(name, "of Python")
	r.run(t, "rotate", "--resume") // which adopts it
	r.onlyTheFirstKeyIsNeeded(t)
	r.retireAll(t)
	if got := readPython(t, python, name, "reader"); got != "of Python" {
		t.Errorf("in the end Python reads %v", got)
	}
	r.everythingIsReadable(t)
}
