package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxProcesses = 512 // and threads, in one group

	groupPrefix = "secrets-plugin-"
	groupGrace  = 500 * time.Millisecond // for the last process of a group to go
)

// findGroups returns the folder in which this process may make control groups
// with limits, or nothing.
//
// A group that holds processes cannot hold limited groups as well, so they
// cannot be below the host's own: they are beside it, in a group that was
// handed over to the host. systemd does so with Delegate= and DelegateSubgroup=.
func findGroups() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	mount := groupMount(string(mounts))
	for line := range strings.Lines(string(own)) {
		path, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if unified && mount != "" && path != "/" {
			return delegated(filepath.Dir(filepath.Join(mount, path)), mount)
		}
	}
	return ""
}

// groupMount is where the unified hierarchy is mounted whole, or nothing.
func groupMount(mountinfo string) string {
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if found && len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") && fields[3] == "/" {
			return fields[4]
		}
	}
	return ""
}

// delegated returns the folder if it was handed over to this user and its
// groups can have limits.
func delegated(folder, mount string) string {
	info, err := os.Stat(folder)
	if err != nil || folder == mount {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() || (os.Geteuid() == 0 && !handedOver(folder)) {
		return "" // it is root's, or the system manager's
	}
	control := filepath.Join(folder, "cgroup.subtree_control")
	for _, controller := range []string{"memory", "pids"} {
		if writeControl(control, "+"+controller) != nil && !holds(control, controller) {
			return ""
		}
	}
	return folder
}

// handedOver looks for the mark that systemd leaves on such a group.
func handedOver(folder string) bool {
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(folder, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

func holds(file, word string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for field := range strings.FieldsSeq(string(data)) {
		if field == word {
			return true
		}
	}
	return false
}

// writeControl writes to a file of the kernel's, which must be there.
func writeControl(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// group is the control group of one program.
type group struct {
	path   string
	folder *os.File
}

// newGroup makes a group in a folder that findGroups returned, and takes away
// those that a killed host left behind.
func newGroup(in string, memory int64) (*group, error) {
	sweepGroups(in)
	path, err := os.MkdirTemp(in, groupPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a control group: %w", reason(err))
	}
	g := &group{path: path}
	if err := g.limit(memory); err != nil {
		return nil, errors.Join(err, g.remove())
	}
	if g.folder, err = os.Open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening a control group: %w", reason(err)), g.remove())
	}
	return g, nil
}

// sweepGroups removes the groups in which nothing runs: the kernel refuses to
// remove others. A group that is just being made is made again.
func sweepGroups(in string) {
	old, _ := filepath.Glob(filepath.Join(in, groupPrefix+"*"))
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = unix.Rmdir(path)
		}
	}
}

// limit sets the limits: memory in bytes, or 0 for none, and processes. What
// exceeds its memory is killed whole.
func (g *group) limit(memory int64) error {
	limit := "max"
	if memory > 0 {
		limit = strconv.FormatInt(memory, 10)
	}
	for _, l := range []struct {
		file, text string
		needed     bool // for a limit on memory to hold
	}{
		{"pids.max", strconv.Itoa(maxProcesses), true},
		{"memory.max", limit, true},
		{"memory.swap.max", "0", false},  // not on systems without swap
		{"memory.oom.group", "1", false}, // since Linux 4.19
	} {
		err := writeControl(filepath.Join(g.path, l.file), l.text)
		if err != nil && l.needed && memory > 0 {
			return fmt.Errorf("limiting a control group: %s: %w", l.file, reason(err))
		}
	}
	return nil
}

// remove kills what is left in the group and removes it.
func (g *group) remove() error {
	if g.folder != nil {
		_ = g.folder.Close()
	}
	_ = writeControl(filepath.Join(g.path, "cgroup.kill"), "1") // since Linux 5.14
	for deadline := time.Now().Add(groupGrace); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Rmdir(g.path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("removing a control group: %w", err)
		}
	}
}
