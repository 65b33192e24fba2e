package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeGrace is how long the rest of a plugin's output is read after its end.
// Then the pipes are closed: another process that it left behind may hold
// them open for ever.
const pipeGrace = 100 * time.Millisecond

// process is a running subprocess with its own process group and the host's
// ends of its pipes.
type process struct {
	pid    int
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	exited chan struct{}    // closed when the process has ended
	state  *os.ProcessState // how; set before exited is closed

	mu     sync.Mutex
	reaped bool // from here on, pid may belong to somebody else
}

// startProcess starts cmd, which must not have been given standard files.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{exited: make(chan struct{})}
	var theirs []*os.File
	defer func() { closeAll(theirs) }()
	for i, ours := range []**os.File{&p.stdin, &p.stdout, &p.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			p.closePipes()
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		if i == 0 {
			r, w = w, r // the host writes to standard input
		}
		*ours, theirs = r, append(theirs, w)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]

	started := make(chan error, 1)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		p.closePipes()
		return nil, err
	}
	return p, nil
}

// run starts the process and stays until its end. The kernel sends the death
// signal of Pdeathsig when the thread that started the process ends, not the
// whole host, so this goroutine keeps its thread for itself.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil

	awaitExit(p.pid)
	p.signal(syscall.SIGKILL) // its number is still taken, and so is that of its group
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	_ = cmd.Wait() // says what the state says
	p.state = cmd.ProcessState
	p.endOutput()
	close(p.exited)
}

// endOutput lets the readers of the output go on for a moment only.
func (p *process) endOutput() {
	deadline := time.Now().Add(pipeGrace)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
}

// awaitExit returns when the process has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
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
	return ended(ctx, p.exited, limit)
}

// exit says how the process ended, such as "exit status 2".
func (p *process) exit() string {
	<-p.exited
	if p.state == nil {
		return "unknown status"
	}
	return p.state.String()
}

// has tells whether the process with that number is this one or one of its
// group.
func (p *process) has(pid int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return false
	}
	if pid == p.pid {
		return true
	}
	group, err := unix.Getpgid(pid)
	return err == nil && group == p.pid
}

func (p *process) closePipes() { closeAll([]*os.File{p.stdin, p.stdout, p.stderr}) }

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
