package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// argument tells this executable to become somebody else's program.
const argument = "__plugin-exec"

// Exit codes of a process that could not become the program.
const exitFailed = 126

// The descriptors that such a process begins with, besides the standard ones.
const (
	ordersFD  = 3
	reportFD  = 4
	programFD = 5
)

// Entry is the proof that a program called [Enter]. The zero Entry proves
// nothing, and a host with it has no sandbox.
type Entry struct{ entered bool }

// Enter must be called by main before anything else, with os.Args. In a
// process that was started to become a plugin it does not return.
func Enter(args []string) Entry {
	if len(args) != 2 || args[1] != argument {
		return Entry{entered: true}
	}
	runtime.LockOSThread() // what follows is done to one thread, which then becomes the program
	os.Exit(become())
	panic("unreachable")
}

// order is what the host wants done. It crosses as JSON in a file without a
// name, because a command line can be seen by everybody.
type order struct {
	Policy
	Namespaces Namespaces
	UID, GID   int
	Program    string   // what to execute; empty for a test of namespaces
	Args       []string // with the name of the program first
	Env        []string
}

// file is the order in a file that only its descriptor leads to.
func (o order) file() (*os.File, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing the orders of a sandbox: %w", err)
	}
	fd, err := unix.MemfdCreate("orders", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("writing the orders of a sandbox: %w", err)
	}
	f := os.NewFile(uintptr(fd), "orders")
	if _, err := f.WriteAt(data, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the orders of a sandbox: %w", err), f.Close())
	}
	return f, nil
}

// result is what becomes of an order. The end of the report without any
// failure means that the program runs.
type result struct {
	Missing []string // could not be applied, and was not insisted on
	Failure string   // why the program does not run
	Ready   bool     // the last word before the program is executed
}

// become applies the order and turns into the program. It returns only if
// that fails.
func become() int {
	data, err := io.ReadAll(io.NewSectionReader(os.NewFile(ordersFD, "orders"), 0, 1<<20))
	var o order
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "this is how plugins are started; it is of no use by hand")
		return exitFailed
	}
	if o.Namespaces == WithinUserSpaces {
		err = mapOwn(o.UID, o.GID)
	}
	if o.Program == "" {
		if err != nil {
			return exitFailed
		}
		return 0
	}
	report := json.NewEncoder(os.NewFile(reportFD, "report"))
	var missing []string
	if err == nil {
		missing, err = o.apply()
	}
	if err != nil {
		err = fmt.Errorf("its sandbox could not be made: %w", err)
	} else if err = report.Encode(result{Missing: missing, Ready: true}); err == nil {
		err = fmt.Errorf("it could not be executed: %w", syscall.Exec(o.Program, o.Args, o.Env))
	}
	_ = report.Encode(result{Failure: err.Error()}) // the exit code says the rest
	return exitFailed
}

// apply gives up what the policy does not grant, in the order in which it can
// be given up. In the mode BestEffort a step that fails is only reported.
func (o order) apply() (missing []string, err error) {
	steps := []struct {
		wanted bool
		do     func() error
	}{
		{true, dieWithHost},
		{true, limit},
		{o.Kernel.NoNewPrivs, func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
		{true, dropCapabilities},
		{o.Kernel.Landlock > 0, func() error {
			absent, err := landlock(o.Policy)
			missing = append(missing, absent...)
			return err
		}},
		{true, closeOthers},
		{o.Kernel.Seccomp, func() error { return newFilter(o.Policy).install() }},
	}
	for _, step := range steps {
		if !step.wanted {
			continue
		}
		if err := step.do(); err != nil {
			if o.Mode == Enforce {
				return nil, err
			}
			missing = append(missing, err.Error())
		}
	}
	return missing, nil
}

// dieWithHost asks for the signal at the host's end again: the request that
// came with the clone belongs to another thread. A host that ended in between
// has closed its end of the report.
func dieWithHost() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking for the parent-death signal: %w", err)
	}
	polled := []unix.PollFd{{Fd: reportFD, Events: unix.POLLOUT}}
	if _, err := unix.Poll(polled, 0); err == nil && polled[0].Revents&unix.POLLERR != 0 {
		return errors.New("the host is gone")
	}
	return nil
}
