package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// reportTime is how long the report of a start usually may take after the
// process started. It ends when the program runs.
const reportTime = 5 * time.Second

const maxReportSize = 64 << 10 // bytes

// Command is one start of a program under a policy.
type Command struct {
	*exec.Cmd // to be started once; its standard files may be set

	// Patience is how long Executed waits: 5 seconds, if it is not changed.
	Patience time.Duration

	report  *os.File // where the new process says how far it came; nil without a sandbox
	theirs  []*os.File
	group   *group   // nil without one
	missing []string // what could not be prepared
}

// Command prepares a start. The program gets args after its own name, env and
// nothing else, and begins in the folder dir. Close must be called once the
// command has been started, or will not be.
func (e Entry) Command(p *Program, policy Policy, args, env []string, dir string) (*Command, error) {
	if err := policy.Refusal(); err != nil {
		return nil, err
	}
	args = slices.Concat([]string{p.name}, args)
	if policy.Mode == Off || !policy.Kernel.Entered || !e.entered {
		return &Command{Cmd: &exec.Cmd{Path: p.runnable(), Args: args, Env: env, Dir: dir,
			SysProcAttr: attributes(NoNamespaces, false)}}, nil
	}
	policy.Execute = slices.Concat(policy.Execute, p.execute)
	o := order{Policy: policy, Namespaces: policy.Kernel.Namespaces, UID: os.Geteuid(), GID: os.Getegid(), Args: args, Env: env, Program: p.onDisk()}
	if p.memory != nil {
		o.Program = fmt.Sprintf("/proc/self/fd/%d", programFD)
	}
	orders, err := o.file()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a pipe: %w", err), orders.Close())
	}
	c := &Command{Patience: reportTime, report: r, theirs: []*os.File{orders, w}}
	attr := attributes(policy.Kernel.Namespaces, !policy.Network)
	c.joinGroup(policy, attr)
	c.Cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{p.name, argument}, Env: []string{}, Dir: dir,
		ExtraFiles:  []*os.File{orders, w},
		SysProcAttr: attr,
	}
	if p.memory != nil {
		c.ExtraFiles = append(c.ExtraFiles, p.memory)
	}
	return c, nil
}

// joinGroup lets the program begin in a control group of its own, where there
// can be one. It is not insisted on.
func (c *Command) joinGroup(policy Policy, attr *syscall.SysProcAttr) {
	if policy.Kernel.Groups == "" {
		return
	}
	g, err := newGroup(policy.Kernel.Groups, policy.Memory)
	if err != nil {
		c.missing = append(c.missing, err.Error())
		return
	}
	c.group, attr.UseCgroupFD, attr.CgroupFD = g, true, int(g.folder.Fd())
}

// Release closes the ends that only the started process needs. It must be
// called once that has been started, and before Executed.
func (c *Command) Release() {
	closeFiles(c.theirs)
	c.theirs = nil
}

// Executed waits until the started process has become the program. It returns
// what could not be applied, or why the program does not run.
func (c *Command) Executed() (missing []string, err error) {
	if c.report == nil {
		return nil, nil
	}
	_ = c.report.SetReadDeadline(time.Now().Add(c.Patience))
	decoder := json.NewDecoder(io.LimitReader(c.report, maxReportSize))
	var last result
	for {
		var next result
		if decoder.Decode(&next) != nil {
			break
		}
		last = next
	}
	switch {
	case last.Failure != "":
		return nil, errors.New(last.Failure)
	case !last.Ready:
		return nil, errors.New("it ended before it was in its sandbox")
	}
	return append(c.missing, last.Missing...), nil
}

// Close closes what the command needed for its start. The program must have
// ended; what it left behind in its control group is killed.
func (c *Command) Close() {
	closeFiles(c.theirs)
	c.theirs = nil
	if c.group != nil {
		_ = c.group.remove() // the next start tries again
		c.group = nil
	}
	if c.report != nil {
		_ = c.report.Close()
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
