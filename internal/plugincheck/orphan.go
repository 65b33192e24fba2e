package plugincheck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// holderTime is how long the process that is killed may take to start the
// program.
const holderTime = 30 * time.Second

// held is what that process says when the program runs.
type held struct {
	PID        int
	Wrong, Fix string // why the program does not run
}

// Hold is the process that is killed: it starts the program that the Config on
// standard input names, says so on standard output, and waits for the end of
// either.
func Hold(ctx context.Context, entry sandbox.Entry, stdin io.Reader, stdout io.Writer) error {
	input := json.NewDecoder(stdin)
	var cfg Config
	if err := input.Decode(&cfg); err != nil {
		return fmt.Errorf("reading what to start: %w", err)
	}
	cfg.Entry = entry
	k, err := newKit(cfg)
	if err != nil {
		return err
	}
	defer k.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := k.ready(ctx)
	said := held{}
	if err != nil {
		v := failure(err)
		said.Wrong, said.Fix = v.reason, v.fix
	} else {
		defer l.close()
		said.PID = l.process.pid
	}
	if err := json.NewEncoder(stdout).Encode(said); err != nil || said.PID == 0 {
		return err
	}
	_, _ = io.Copy(io.Discard, stdin) // until the kit is gone
	return nil
}

// checkOrphan kills the host of a launch. That host is another process of this
// program, so that nothing but the launch is without a host.
func checkOrphan(ctx context.Context, k *kit) verdict {
	if len(k.cfg.Holder) == 0 {
		return skipped("this program cannot start a host of its own")
	}
	host, err := k.startHolder(ctx)
	if err != nil {
		return failure(err)
	}
	defer host.kill()
	said, err := host.hears(k.limit(holderTime))
	if err != nil {
		return failure(err)
	}
	if said.PID == 0 {
		return failed(said.Wrong, said.Fix)
	}
	// While its host lives, the number belongs to the program.
	fd, err := unix.PidfdOpen(said.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return failed("it ended by itself", "see what it logged")
	}
	if err != nil {
		return failure(fmt.Errorf("watching the process: %w", err))
	}
	defer unix.Close(fd)
	host.kill()
	patience := k.limit(endTime)
	if endsWithin(fd, patience) {
		return passed()
	}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	return failed(fmt.Sprintf("it still runs %s after its host was killed", patience),
		"end the process when standard input ends, and leave the parent-death signal as it is")
}

// holder is the process that is killed.
type holder struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *os.File
	killed bool
}

func (k *kit) startHolder(ctx context.Context) (*holder, error) {
	order := k.cfg
	order.Base = k.dir
	data, err := json.Marshal(order)
	if err != nil {
		return nil, fmt.Errorf("writing what to start: %w", err)
	}
	h := &holder{cmd: exec.CommandContext(ctx, "/proc/self/exe", k.cfg.Holder...)}
	h.cmd.Env = []string{}
	h.cmd.WaitDelay = pipeGrace
	h.cmd.Stderr = k.log
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	h.stdout, h.cmd.Stdout = r, w
	err = h.cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a host: %w", err), r.Close())
	}
	if _, err := h.stdin.Write(data); err != nil {
		h.kill()
		return nil, fmt.Errorf("writing what to start: %w", err)
	}
	return h, nil
}

// hears waits for what the holder says.
func (h *holder) hears(patience time.Duration) (said held, err error) {
	if err := h.stdout.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return held{}, fmt.Errorf("waiting for a host: %w", err)
	}
	if err := json.NewDecoder(bufio.NewReader(h.stdout)).Decode(&said); err != nil {
		return held{}, fmt.Errorf("waiting for a host: %w", err)
	}
	return said, nil
}

// kill ends the holder as abruptly as can be, once.
func (h *holder) kill() {
	if h.killed {
		return
	}
	h.killed = true
	_ = h.cmd.Process.Kill()
	_ = h.stdin.Close()
	_ = h.stdout.Close()
	_ = h.cmd.Wait() // "signal: killed"
}

// endsWithin waits for the end of the process that fd stands for.
func endsWithin(fd int, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for {
		left := max(time.Until(deadline), 0)
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, int(left.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n > 0
	}
}
