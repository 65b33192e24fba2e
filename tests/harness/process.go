package harness

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

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

// Serve starts a command that says on standard error where it serves, in the
// first group of the expression.
func Serve(t testing.TB, cmd *exec.Cmd, serving *regexp.Regexp) *Process {
	t.Helper()
	return run(t, cmd, serving)
}

// run starts cmd and waits for a line of standard error that says where it
// serves. It must not end before.
func run(t testing.TB, cmd *exec.Cmd, serving *regexp.Regexp) *Process {
	t.Helper()
	p, ok := launch(t, cmd, serving)
	if !ok {
		t.Fatalf("%s ended before it served:\n%s", filepath.Base(cmd.Path), p.Stderr)
	}
	return p
}

// launch is run for a program that may end before it serves, and says whether it
// serves.
func launch(t testing.TB, cmd *exec.Cmd, serving *regexp.Regexp) (p *Process, serves bool) {
	t.Helper()
	p = &Process{Cmd: cmd, Stdout: &Output{}, Stderr: &Output{}, ended: make(chan struct{})}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = p.Stdout, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	found, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
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
		select { // what it said last may still be in the pipe, which a child of it can hold open
		case <-read:
		case <-time.After(time.Second):
		}
		return p, false
	case <-time.After(patience):
		t.Fatalf("%s does not serve:\n%s", filepath.Base(cmd.Path), p.Stderr)
	}
	p.URL = strings.TrimSuffix(p.URL, "/")
	if slices.Contains(cmd.Args, "--root") {
		p.SignIn = p.firstLine(t)
	}
	return p, true
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

// Logs waits until the program has logged text: what it writes is read a moment later.
func (p *Process) Logs(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(p.Stderr.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q:\n%s", text, p.Stderr)
		}
	}
}

// Stop ends the program as CTRL+C does and returns its exit code. It may be
// called more than once.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Cmd.Process.Signal(syscall.SIGINT)
	return p.Wait(t)
}

// Wait waits for the program to end and returns its exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
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

// Follow starts a command that goes on until end interrupts it or it ends by
// itself. output is what it writes; end returns its exit code.
func Follow(t testing.TB, dir string, args ...string) (output *Output, end func() int) {
	t.Helper()
	output = &Output{}
	cmd := exec.Command(Binary(t), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, Env(), output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: cmd, Stderr: output, ended: make(chan struct{})}
	go func() { cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() { p.Stop(t) })
	return output, func() int { return p.Stop(t) }
}
