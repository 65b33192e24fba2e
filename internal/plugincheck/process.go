package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

const (
	killGrace = 5 * time.Second // for a process to end after SIGKILL
	pipeGrace = time.Second     // for the rest of its output after its end
)

// process is one run of the program, and the kit's ends of its pipes.
type process struct {
	pid    int
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	exited chan struct{}    // closed when it has ended
	state  *os.ProcessState // how; set before exited is closed
	left   []int            // processes of its group that it left behind; likewise
	report chan error       // why the program does not run, or nil; one value
	pumps  sync.WaitGroup

	mu     sync.Mutex
	reaped bool // from here on, pid may belong to somebody else
}

// startProcess starts a command. What the program writes goes to the two
// writers.
func startProcess(command *sandbox.Command, stdout func(io.Reader), stderr io.Writer) (*process, error) {
	p := &process{exited: make(chan struct{}), report: make(chan error, 1)}
	var theirs []*os.File
	for i, ours := range []**os.File{&p.stdin, &p.stdout, &p.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(append(theirs, p.stdin, p.stdout, p.stderr))
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		if i == 0 {
			r, w = w, r // the kit writes to standard input
		}
		*ours, theirs = r, append(theirs, w)
	}
	command.Stdin, command.Stdout, command.Stderr = theirs[0], theirs[1], theirs[2]
	started := make(chan error, 1)
	go p.run(command, started)
	err := <-started
	closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{p.stdin, p.stdout, p.stderr})
		command.Close()
		return nil, err
	}
	command.Release()
	p.pumps.Go(func() {
		_, err := command.Executed()
		command.Close()
		p.report <- err
	})
	p.pumps.Go(func() { stdout(p.stdout) })
	p.pumps.Go(func() { _, _ = io.Copy(stderr, p.stderr) }) // ends with the pipe, or by endOutput
	return p, nil
}

// run starts the process and stays until its end. The parent-death signal of
// the process comes when the thread that started it ends, so this goroutine
// keeps its thread.
func (p *process) run(command *sandbox.Command, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := command.Start(); err != nil {
		started <- err
		return
	}
	p.pid = command.Process.Pid
	started <- nil
	for errors.Is(unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.left = groupOf(p.pid) // its number is still taken, and so is that of its group
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	_ = command.Wait() // says what the state says
	p.state = command.ProcessState
	p.endOutput()
	close(p.exited)
}

// endOutput lets the readers of the output go on for a moment only: another
// process may hold the pipes open for ever.
func (p *process) endOutput() {
	deadline := time.Now().Add(pipeGrace)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
}

// signal sends sig to the whole process group, unless it may be gone.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// gone tells whether the process ends within limit.
func (p *process) gone(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// alive tells whether the process has not ended yet.
func (p *process) alive() bool { return !p.gone(context.Background(), 0) }

// exit says how the process ended, such as "exit status 2".
func (p *process) exit() string {
	if p.alive() || p.state == nil {
		return "unknown status"
	}
	return p.state.String()
}

// end kills the process if it still runs, and reads the rest of its output.
func (p *process) end() {
	p.signal(syscall.SIGKILL)
	p.gone(context.Background(), killGrace)
	p.endOutput()
	p.pumps.Wait()
	closeAll([]*os.File{p.stdin, p.stdout, p.stderr})
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // it may be closed already
		}
	}
}
