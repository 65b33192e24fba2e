package interop_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// visitor is a browser at one program. It reports what goes wrong and carries
// on, so that goroutines may use it.
type visitor struct {
	t      *testing.T
	name   string
	python bool // the program is Datasette
	url    string
	cookie string
	client *http.Client
}

func newVisitor(t *testing.T, p *harness.Process, name string) *visitor {
	t.Helper()
	return &visitor{
		t: t, name: name, url: p.URL, cookie: "ds_actor=" + harness.ActorCookie(t, secrets.NewActor(name)),
		client: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// visit asks for a page, or sends a form, and returns the status and the body.
func (v *visitor) visit(path string, form url.Values) (status int, text string) {
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Error(err)
		return 0, ""
	}
	request.Header.Set("Cookie", v.cookie)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := v.client.Do(request)
	if err != nil {
		v.t.Errorf("%s %s: %v", v.name, path, err)
		return 0, ""
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Errorf("%s %s: %v", v.name, path, err)
	}
	return answer.StatusCode, string(data)
}

// set stores a value and expects success.
func (v *visitor) set(name, value string) {
	if status, _ := v.visit("/-/secrets/"+name, url.Values{"secret": {value}}); status != http.StatusFound {
		v.t.Errorf("%s sets %s: status %d, want 302", v.name, name, status)
	}
}

// read asks Python for a value and expects one.
func (v *visitor) read(name string) {
	status, text := v.visit("/-/read/"+name, nil)
	if status != http.StatusOK || !strings.HasPrefix(text, `{"value": "`) {
		v.t.Errorf("Python reads %s: status %d, %s", name, status, text)
	}
}

// list looks at the page of all secrets of p and expects to see it. Datasette
// gives up on a lock after five seconds, without a way to make it more patient:
// a busy machine may bring it there in a rollback journal, where each commit
// keeps readers out. It may be asked again; our host may not.
func (v *visitor) list(p *harness.Process) {
	status, text := v.visit("/-/secrets", nil)
	for try := 0; try < 10 && status == http.StatusInternalServerError && v.python && strings.Contains(text, "database is locked"); try++ {
		v.t.Log("Datasette met a lock for five seconds")
		status, text = v.visit("/-/secrets", nil)
	}
	if status != http.StatusOK {
		stderr := p.Stderr.String()
		v.t.Errorf("a list of secrets at %s: status %d, %s\nits log ends with:\n%s", p.URL, status, text, stderr[max(0, len(stderr)-4000):])
	}
}

// managers lets the visitors set secrets under their own names.
func managers() []string {
	return []string{"-s", "permissions.manage-secrets.id", `["root", "host", "python"]`}
}

// breath is the pause of a writer between two versions. Writers that leave no
// gap at all keep readers out of a rollback journal for as long as they like.
const breath = 3 * time.Millisecond

// each is how many versions every writer adds to every secret.
func each() int {
	if harness.Soak() {
		return 200
	}
	return 60
}

// Both programs write the same secret and one of their own, 200 versions of
// each or 60 in a short run, while others read: no version is given twice, no row is lost, nobody
// sees an error, and the file keeps its journal mode.
func TestWritingAtOnce(t *testing.T) {
	t.Parallel()
	for maker, mode := range map[string]string{"host": "wal", "Python": "delete"} {
		t.Run("file of "+maker, func(t *testing.T) {
			t.Parallel()
			file := newFile(t)
			if maker == "Python" {
				startPython(t, file).Stop(t)
			}
			host, probe := startProbed(t, file, managers()...)
			python := startPython(t, file, managers()...)
			writeAtOnce(t, host, python, probe)
			if now := journalMode(t, file); now != mode {
				t.Errorf("the journal mode is %s, want %s", now, mode)
			}
			everyVersionIsThere(t, file)
		})
	}
}

func writeAtOnce(t *testing.T, host, python *harness.Process, probe *harness.Probe) {
	t.Helper()
	writers := map[string]*visitor{"OF_HOST": newVisitor(t, host, "host"), "OF_PYTHON": newVisitor(t, python, "python")}
	for own, v := range writers { // so that readers find something
		v.set(own, v.name+" 0")
		v.set("SHARED", v.name+" 0")
	}
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	for own, v := range writers {
		for _, name := range []string{"SHARED", own} {
			writing.Go(func() {
				for i := 1; i < each(); i++ {
					v.set(name, fmt.Sprintf("%s %d", v.name, i))
					time.Sleep(breath)
				}
			})
		}
	}
	for _, p := range []*harness.Process{host, python} {
		v := newVisitor(t, p, "root")
		v.python = p == python
		reading.Go(func() {
			for !done.Load() {
				v.list(p)
				if p == python {
					v.read("SHARED")
				}
			}
		})
	}
	go func() {
		writing.Wait()
		done.Store(true)
	}()
	for !done.Load() {
		if _, err := probe.Get(t, "SHARED", "reader"); err != nil {
			t.Errorf("the host reads SHARED: %v", err)
		}
	}
	reading.Wait()
}

// everyVersionIsThere has Python decrypt every row and looks for each value
// that was written, and for each version, once.
func everyVersionIsThere(t *testing.T, file string) {
	t.Helper()
	var rows [][3]any
	script(t, "decrypt.py", &rows, file, harness.Key)
	next, seen := map[string]float64{}, map[string]int{}
	for _, row := range rows { // sorted by name and version
		name := row[0].(string)
		next[name]++
		if row[1] != next[name] {
			t.Fatalf("%s has the version %v where %v should be", name, row[1], next[name])
		}
		seen[fmt.Sprint(name, ": ", row[2])]++
	}
	for own, writer := range map[string]string{"OF_HOST": "host", "OF_PYTHON": "python"} {
		for _, name := range []string{own, "SHARED"} {
			for i := range each() {
				if value := fmt.Sprintf("%s: %s %d", name, writer, i); seen[value] != 1 {
					t.Errorf("%q is there %d times", value, seen[value])
				}
			}
		}
	}
	if len(rows) != 4*each() {
		t.Errorf("%d rows, want %d", len(rows), 4*each())
	}
}
