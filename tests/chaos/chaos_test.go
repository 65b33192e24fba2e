// Package chaos runs a whole host with ten plugins in three languages, harms
// the plugins at random, and looks whether anybody but them notices.
package chaos

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

var entry host.Entry

func TestMain(m *testing.M) {
	entry = host.Enter(os.Args)
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

const (
	reader  = "chaos" // on whose behalf the plugins read
	deadly  = 3       // times that one plugin is killed, stopped or told to hang: fewer than the breaker allows
	pageMax = 10 * time.Second
	healMax = 3 * time.Minute // three missed probes, the longest backoff, and a slow machine
)

// For a minute, or five seconds in a short run, plugins are killed, stopped,
// told to flood and told to hang, while visitors load pages and set secrets.
// Every page comes in time, every plugin is ready again in the end, and when the
// host is closed nothing of it is left: no goroutine, descriptor, process,
// socket or file.
func TestPluginsInChaos(t *testing.T) {
	w := newWorld(t)
	before := w.remains(t)
	w.open(t)
	w.await(t, w.ready)
	w.calm(t)
	w.awaitReady(t)
	w.private = private(t)

	length := 5 * time.Second
	if harness.Soak() {
		length = time.Minute
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 3 {
		load.Go(func() { w.visit(t, i, stop) })
	}
	w.harm(t, length)
	close(stop)
	load.Wait()
	w.calm(t)
	w.awaitReady(t)
	if n := len(children()); n != len(w.plugins) {
		t.Errorf("%d processes for %d plugins", n, len(w.plugins))
	}
	t.Logf("%d pages, the slowest in %v; %d kills, %d stops, %d floods, %d hangs",
		w.pages, w.slowest.Round(time.Millisecond), w.done["kill"], w.done["stop"], w.done["flood"], w.done["hang"])

	w.close(t)
	w.nothingRemains(t, before)
}

// world is a host under test, its plugins and its visitors.
type world struct {
	dir     string // for the host's database and temporary files
	private string // the host's folder for its plugins
	plugins []string
	config  host.Config
	host    *host.Host
	server  *httptest.Server
	cookie  string

	mu      sync.Mutex
	pages   int
	slowest time.Duration
	done    map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), done: map[string]int{}, cookie: "ds_actor=" + harness.ActorCookie(t, secrets.NewActor("root"))}
	t.Setenv("TMPDIR", w.dir)
	// Plugins in Node find their libraries in a folder above; the others may
	// live there as well.
	plugins := harness.NodeDir(t)
	settings := [][2]string{
		{"plugins.datasette-secrets.encryption-key", harness.Key},
		// Orders are given also to plugins that a slow machine has not started yet.
		{"plugins.datasette-secrets.allow-undeclared", "true"},
	}
	add := func(name string, reading []string) {
		w.plugins = append(w.plugins, name)
		settings = append(settings, [2]string{"plugins.datasette-secrets.plugins." + name + ".args", fmt.Sprintf("[%q]", order(name))})
		for i := 0; i+2 < len(reading); i += 3 { // "-s", key, value
			settings = append(settings, [2]string{reading[i+1], reading[i+2]})
		}
	}
	for i := range 4 {
		name := fmt.Sprint("go", i)
		harness.AddPlugin(t, plugins, name, "tests/testdata/plugins/chaos")
		add(name, nil)
	}
	for i := range 3 {
		name := fmt.Sprint("python", i)
		harness.AddPythonPlugin(t, plugins, name, "tests/testdata/plugins/chaos/chaos.py")
		add(name, harness.PythonReading(t, name, harness.PythonSDK(t)))
	}
	program, err := os.ReadFile(filepath.Join(harness.Root(), "tests/testdata/plugins/chaos/chaos.js"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		name := fmt.Sprint("node", i)
		harness.AddNodePlugin(t, plugins, name, string(program))
		add(name, harness.Reading(name, harness.NodePackage(t)))
	}
	w.config = host.Config{
		Internal: filepath.Join(w.dir, "internal.db"), PluginsDir: plugins, Settings: settings,
		Secret: harness.Secret, Root: true, Entry: entry,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return w
}

// order is the secret that tells a plugin what to do.
func order(plugin string) string { return "ORDER_" + strings.ToUpper(plugin) }

func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	if w.host, err = host.Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w.host.Handler())
	t.Cleanup(func() { w.host.Close(context.Background()) })
}

func (w *world) close(t *testing.T) {
	t.Helper()
	w.server.CloseClientConnections()
	w.server.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := w.host.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// request asks for a page, or sends a form, and reports what is not answered
// well and in time. It returns the page.
func (w *world) request(t *testing.T, path string, form url.Values) (text string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 3*pageMax)
	defer cancel()
	method, want := http.MethodGet, http.StatusOK
	if form != nil {
		method, want = http.MethodPost, http.StatusFound
	}
	r, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return ""
	}
	r.Header.Set("Cookie", w.cookie)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	took := time.Since(began)
	if err != nil || answer.StatusCode != want || took > pageMax {
		t.Errorf("%s %s: status %d after %v, %v", method, path, answer.StatusCode, took, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages++
	w.slowest = max(w.slowest, took)
	return string(body)
}

// visit is one visitor, who loads pages and sets secrets until stop is closed.
func (w *world) visit(t *testing.T, number int, stop <-chan struct{}) {
	paths := []string{"/-/secrets", "/-/plugins", "/-/plugins.json", "/-/secrets/" + order(w.plugins[number]), "/"}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if i%10 == 0 {
			w.tell(t, "go3", fmt.Sprint("calm ", number, i))
			continue
		}
		w.request(t, paths[i%len(paths)], nil)
	}
}

// tell orders a plugin to do something.
func (w *world) tell(t *testing.T, plugin, what string) {
	w.request(t, "/-/secrets/"+order(plugin), url.Values{"secret": {what}})
}

// harm does something to a plugin again and again. No plugin is stopped dead so
// often that the host gives it up.
func (w *world) harm(t *testing.T, length time.Duration) {
	const seed = 20261122
	chance := rand.New(rand.NewPCG(seed, seed))
	dead := map[string]int{}
	for i, end := 0, time.Now().Add(length); time.Now().Before(end); i++ {
		time.Sleep(time.Duration(50+chance.IntN(300)) * time.Millisecond)
		plugin := w.plugins[chance.IntN(len(w.plugins))]
		what := []string{"kill", "stop", "hang", "flood"}[chance.IntN(4)]
		if what != "flood" {
			if dead[plugin] == deadly {
				continue
			}
			dead[plugin]++
		}
		switch what {
		case "kill":
			signal(plugin, syscall.SIGKILL)
		case "stop":
			signal(plugin, syscall.SIGSTOP)
		default:
			w.tell(t, plugin, fmt.Sprint(what, " ", i))
		}
		w.done[what]++
	}
}

// calm takes all orders back. No order is like one before, so that each is a
// new version, which nobody has read yet.
func (w *world) calm(t *testing.T) {
	for _, plugin := range w.plugins {
		w.tell(t, plugin, fmt.Sprint("calm ", w.pages))
	}
}

// awaitReady waits until every plugin is ready and has read its newest order.
func (w *world) awaitReady(t *testing.T) {
	t.Helper()
	w.await(t, func() bool {
		return strings.Count(w.request(t, "/-/secrets", nil), reader) == len(w.plugins) && w.ready()
	})
}

// ready tells whether every plugin is.
func (w *world) ready() bool {
	return !slices.ContainsFunc(w.host.Plugins(), func(p secrets.PluginStatus) bool { return p.State != secrets.PluginReady })
}

func (w *world) await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(healMax); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not every plugin is ready, or not every order was read:\n%+v\n%s", w.host.Plugins(), w.request(t, "/-/secrets", nil))
		}
	}
}

// children are the processes that this one started and that have not ended.
func children() []int {
	var all []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		if state, parent := stat(file); parent == os.Getpid() && state != "Z" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			all = append(all, pid)
		}
	}
	return all
}

// stat reads the state and the parent of a process.
func stat(file string) (state string, parent int) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// signal sends sig to the process of a plugin, if it runs at the moment.
func signal(plugin string, sig syscall.Signal) {
	for _, pid := range children() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "\x00"+order(plugin)+"\x00") {
			syscall.Kill(pid, sig)
		}
	}
}

// remains is what a host can leave behind.
type remains struct {
	goroutines, descriptors, processes int
}

func (w *world) remains(t *testing.T) remains {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return remains{goroutines: runtime.NumGoroutine(), descriptors: len(descriptors), processes: len(children())}
}

// private is the folder in which the host keeps the homes and sockets of its
// plugins, as seen from one of them.
func private(t *testing.T) string {
	t.Helper()
	home, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", children()[0]))
	if err != nil || filepath.Base(home) != "home" {
		t.Fatalf("a plugin works in %q, %v", home, err)
	}
	return filepath.Dir(filepath.Dir(home))
}

// nothingRemains waits until what was there before is all there is.
func (w *world) nothingRemains(t *testing.T, before remains) {
	t.Helper()
	var now remains
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now = w.remains(t)
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors && now.processes <= before.processes {
			break
		}
	}
	if now.goroutines > before.goroutines {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines, %d before:\n%s", now.goroutines, before.goroutines, &stacks)
	}
	if now.descriptors > before.descriptors || now.processes > before.processes {
		t.Errorf("%d descriptors and %d processes, before %d and %d", now.descriptors, now.processes, before.descriptors, before.processes)
	}
	if _, err := os.Lstat(w.private); !os.IsNotExist(err) {
		t.Errorf("%s is left behind (%v)", w.private, err)
	}
	// In the end there is its database, and nothing of the time before.
	files, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Name() != "internal.db" {
			t.Errorf("%s is left behind", file.Name())
		}
	}
}
