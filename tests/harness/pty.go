package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program that runs at a terminal of its own.
type Terminal struct {
	Cmd    *exec.Cmd
	screen *os.File // our end
	mutex  sync.Mutex
	shown  bytes.Buffer
	ended  chan struct{}
}

// AtTerminal starts the host's command line at a new terminal.
func AtTerminal(t testing.TB, dir string, env []string, args ...string) *Terminal {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	cmd := exec.Command(Binary(t), args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Terminal{Cmd: cmd, screen: ours, ended: make(chan struct{})}
	watched := make(chan struct{})
	go func() { p.watch(); close(watched) }()
	go func() { cmd.Wait(); <-watched; close(p.ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-p.ended })
	return p
}

// watch keeps what is shown. Reading ends with the program.
func (p *Terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.screen.Read(buffer)
		p.mutex.Lock()
		p.shown.Write(buffer[:n])
		p.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// Shown is everything that was shown so far.
func (p *Terminal) Shown() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.shown.String()
}

// Await waits until a text is shown.
func (p *Terminal) Await(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(p.Shown(), text) {
			return
		}
	}
	t.Fatalf("the terminal does not show %q, but\n%s", text, p.Shown())
}

// Type types a text.
func (p *Terminal) Type(t testing.TB, text string) {
	t.Helper()
	if _, err := p.screen.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// Echoes reports whether the terminal shows what is typed.
func (p *Terminal) Echoes(t testing.TB) bool {
	t.Helper()
	termios, err := unix.IoctlGetTermios(int(p.screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return termios.Lflag&unix.ECHO != 0
}

// Wait waits for the end of the program and returns its exit code.
func (p *Terminal) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the program does not end:\n%s", p.Shown())
	}
	return p.Cmd.ProcessState.ExitCode()
}
