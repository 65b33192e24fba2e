// Package harness runs the real programs for black-box tests: the host and
// plugins, built from this tree, and Python's Datasette from the virtual
// environment that "make test" sets up.
package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/signing"
)

// Key is the encryption key of the tests, and Secret what signs their cookies.
const (
	Key    = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
	Secret = "1"
)

// patience bounds every wait for a program.
const patience = 30 * time.Second

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

var (
	buildMutex sync.Mutex
	built      = map[string]string{}
)

// Build builds the command in a folder of the repository, once for each test
// process, and returns the executable.
func Build(t testing.TB, folder string) string {
	t.Helper()
	buildMutex.Lock()
	defer buildMutex.Unlock()
	if path, ok := built[folder]; ok {
		return path
	}
	// Named by process, and below the repository so that it needs no removal
	// to be reused: the Go build cache makes building it again cheap.
	path := filepath.Join(Root(), "build", "test", fmt.Sprint(os.Getpid()), filepath.Base(folder))
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./"+folder)...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, out)
	}
	built[folder] = path
	return path
}

// Clean removes what Build made. Call it at the end of TestMain.
func Clean() { os.RemoveAll(filepath.Join(Root(), "build", "test", fmt.Sprint(os.Getpid()))) }

// Binary is the executable of the host.
func Binary(t testing.TB) string { return Build(t, "cmd/datasette-secrets") }

// PluginDir returns a new folder with a plugin in it: the command in folder,
// under the name datasette-secrets-plugin-NAME.
func PluginDir(t testing.TB, name, folder string) string {
	t.Helper()
	dir := t.TempDir()
	AddPlugin(t, dir, name, folder)
	return dir
}

// AddPlugin puts a plugin into dir.
func AddPlugin(t testing.TB, dir, name, folder string) {
	t.Helper()
	data, err := os.ReadFile(Build(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "datasette-secrets-plugin-"+name), data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// Python is the interpreter that has Datasette and datasette-secrets.
func Python(t testing.TB) string {
	t.Helper()
	path := filepath.Join(Root(), ".venv", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Python's Datasette is not installed; run: make test-setup")
	}
	return path
}

// Process is a running program that serves HTTP.
type Process struct {
	URL    string // where it serves, without a slash at the end
	SignIn string // the URL that signs root in; empty without --root
	Stderr *Output
	Stdout *Output
	Cmd    *exec.Cmd
	ended  chan struct{}
}

// Output collects what a program writes.
type Output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write adds to the output.
func (o *Output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// Env is the environment that tests give to the programs: only what they need
// to run.
func Env(extra ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8"}
	if race {
		env = append(env, "GORACE=atexit_sleep_ms=0") // it would sleep for a second at every exit
	}
	return append(env, extra...)
}

// Options say how to start a host.
type Options struct {
	Args   []string // after the defaults, which they override
	Env    []string // NAME=value
	Dir    string   // working directory; a new folder if empty
	NoKey  bool     // configure no encryption key
	Secret string   // signing secret; Secret if empty
}

// Start starts the host on a free port and waits until it serves. It is
// stopped at the end of the test, and must end in order then.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	args := []string{"serve", "-p", "0", "--secret", or(o.Secret, Secret)}
	if !o.NoKey {
		args = append(args, "-s", "plugins.datasette-secrets.encryption-key", Key)
	}
	cmd := exec.Command(Binary(t), append(args, o.Args...)...)
	cmd.Env = Env(o.Env...)
	cmd.Dir = o.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	return run(t, cmd, regexp.MustCompile(`serving on (https?://[^ "]+)`))
}

// StartDatasette starts Python's Datasette with datasette-secrets on a free
// port.
func StartDatasette(t testing.TB, o Options) *Process {
	t.Helper()
	args := []string{"-m", "datasette", "serve", "-p", "0", "--secret", or(o.Secret, Secret)}
	if !o.NoKey {
		args = append(args, "-s", "plugins.datasette-secrets.encryption-key", Key)
	}
	cmd := exec.Command(Python(t), append(args, o.Args...)...)
	cmd.Env = Env(append(o.Env, "PYTHONUNBUFFERED=1")...)
	cmd.Dir = o.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	return run(t, cmd, regexp.MustCompile(`Uvicorn running on (http://[^ ]+)`))
}

// run starts cmd and waits for a line of standard error that says where it
// serves.
func run(t testing.TB, cmd *exec.Cmd, serving *regexp.Regexp) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Stdout: &Output{}, Stderr: &Output{}, ended: make(chan struct{})}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = p.Stdout, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(reader)
		for {
			line, err := lines.ReadString('\n')
			p.Stderr.Write([]byte(line))
			if m := serving.FindStringSubmatch(line); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
			if err != nil {
				reader.Close()
				return
			}
		}
	}()
	go func() { cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() { p.Stop(t) })
	select {
	case p.URL = <-found:
	case <-p.ended:
		t.Fatalf("%s ended before it served:\n%s", filepath.Base(cmd.Path), p.Stderr)
	case <-time.After(patience):
		t.Fatalf("%s does not serve:\n%s", filepath.Base(cmd.Path), p.Stderr)
	}
	p.URL = strings.TrimSuffix(p.URL, "/")
	if slices.Contains(cmd.Args, "--root") {
		p.SignIn = p.firstLine(t)
	}
	return p
}

// firstLine waits for the first line of standard output: it was written before
// the line on standard error that says where the program serves, but comes
// another way.
func (p *Process) firstLine(t testing.TB) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if line, _, ok := strings.Cut(p.Stdout.String(), "\n"); ok {
			return line
		}
	}
	t.Fatalf("%s prints no URL to sign in with:\n%s", filepath.Base(p.Cmd.Path), p.Stderr)
	return ""
}

// Stop ends the program as CTRL+C does and returns its exit code. It may be
// called more than once.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Cmd.Process.Kill()
		<-p.ended
		t.Errorf("%s does not stop:\n%s", filepath.Base(p.Cmd.Path), p.Stderr)
	}
	if stderr := p.Stderr.String(); strings.Contains(stderr, "WARNING: DATA RACE") || strings.Contains(stderr, "panic:") {
		t.Errorf("the program reports:\n%s", stderr)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Kill ends the program without warning.
func (p *Process) Kill() {
	p.Cmd.Process.Kill()
	<-p.ended
}

// Response is an answer with its body read.
type Response struct {
	*http.Response
	Text string
}

// Cookie returns the value of a cookie that the answer sets; ok is false if it
// does not set it.
func (r Response) Cookie(name string) (value string, ok bool) {
	for _, cookie := range r.Cookies() {
		if cookie.Name == name {
			value, ok = cookie.Value, true
		}
	}
	return value, ok
}

// Request is one request to a Process. Its zero value is GET / by nobody.
type Request struct {
	Method string // GET, or POST if there is a form
	Path   string // as it stands in the request line, query included
	Actor  secrets.Actor
	Cookie string // raw Cookie header, instead of Actor
	Form   url.Values
	Body   string // raw body, instead of Form
	Header map[string]string
}

// Do sends a request and reads the answer. It follows no redirect.
func (p *Process) Do(t testing.TB, r Request) Response {
	t.Helper()
	body, method := r.Body, r.Method
	if r.Form != nil {
		body = r.Form.Encode()
	}
	if method == "" && (r.Form != nil || r.Body != "") {
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, or(method, http.MethodGet), p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(or(r.Path, "/"), "?")
	request.URL.Path, err = url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.RawPath, request.URL.RawQuery = path, query // sent as they are
	if r.Form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.Actor != nil {
		request.Header.Set("Cookie", "ds_actor="+ActorCookie(t, r.Actor))
	}
	if r.Cookie != "" {
		request.Header.Set("Cookie", r.Cookie)
	}
	for name, value := range r.Header {
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	answer, err := client().Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, r.Path, err, p.Stderr)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return Response{answer, text.String()}
}

func client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}
}

// Get is Do for a page, as an actor.
func (p *Process) Get(t testing.TB, path string, actor secrets.Actor) Response {
	t.Helper()
	return p.Do(t, Request{Path: path, Actor: actor})
}

// SetSecret posts a value and note for a secret, as an actor.
func (p *Process) SetSecret(t testing.TB, name, value, note string, actor secrets.Actor) Response {
	t.Helper()
	return p.Do(t, Request{Path: "/-/secrets/" + name, Actor: actor, Form: url.Values{"secret": {value}, "note": {note}}})
}

// ActorCookie returns the ds_actor cookie of an actor, signed with Secret.
func ActorCookie(t testing.TB, actor secrets.Actor) string {
	t.Helper()
	cookie, err := signing.New(Secret).SignActor(actor, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// Result is what a finished program left.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs the host's command line to its end. dir is the working directory;
// a new folder if empty.
func Run(t testing.TB, dir string, args ...string) Result {
	t.Helper()
	return RunCommand(t, dir, Env(), Binary(t), args...)
}

// RunCommand runs any program to its end.
func RunCommand(t testing.TB, dir string, env []string, program string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &stdout, &stderr, dir, env
	if dir == "" {
		cmd.Dir = t.TempDir()
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", program, err)
	}
	return Result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// PythonScript runs a script with Datasette's Python and decodes the JSON that
// it prints into out. The arguments are in sys.argv.
func PythonScript(t testing.TB, script string, out any, args ...string) {
	t.Helper()
	r := RunCommand(t, "", Env(), Python(t), append([]string{"-c", script}, args...)...)
	if r.Code != 0 {
		t.Fatalf("the Python script failed:\n%s", r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), out); err != nil {
		t.Fatalf("the Python script printed %q: %v", r.Stdout, err)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
