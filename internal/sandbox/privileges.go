package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxFiles    = 256       // open at once
	maxFileSize = 256 << 20 // bytes of one file

	// The root user of a program gets no capability back by being root:
	// SECBIT_NOROOT and its lock, as capabilities(7) has them.
	notByRoot = 1<<0 | 1<<1
)

// mapOwn gives a user namespace the one user and group that it is made of, so
// that files belong to whom they did.
func mapOwn(uid, gid int) error {
	for _, file := range []struct{ name, text string }{
		{"setgroups", "deny"},
		{"uid_map", line(uid)},
		{"gid_map", line(gid)},
	} {
		if err := os.WriteFile("/proc/self/"+file.name, []byte(file.text), 0); err != nil {
			return fmt.Errorf("making a user namespace: %w", err)
		}
	}
	return nil
}

func line(id int) string { return strconv.Itoa(id) + " " + strconv.Itoa(id) + " 1\n" }

// limit sets the limits of the process.
func limit() error {
	for _, l := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, maxFiles},
		{"the size of files", unix.RLIMIT_FSIZE, maxFileSize},
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("limiting %s: %w", l.name, err)
		}
		value := min(l.value, now.Max) // a limit can only be lowered
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limiting %s: %w", l.name, err)
		}
	}
	return nil
}

// dropCapabilities takes every capability from this thread and from what it
// executes. A host that runs as root has plugins of the user root, which may
// then do no more than any owner of its files.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	for capability := range uintptr(64) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the kernel knows no more
		}
		if err != nil && !errors.Is(err, unix.EPERM) { // without privileges there is nothing to drop
			return fmt.Errorf("dropping capabilities: %w", err)
		}
	}
	// Without the privilege to do so, no-new-privs has the same effect.
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, notByRoot, 0, 0, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("dropping the privileges of root: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}

// closeOthers lets every descriptor but the standard three close when the
// program is executed.
func closeOthers() error {
	err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	var now syscall.Rlimit // a kernel before 5.11
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("closing files: %w", err)
	}
	for fd := 3; fd < int(max(now.Max, 4096)); fd++ {
		unix.CloseOnExec(fd)
	}
	return nil
}

// HideMemory closes this process's memory to other processes of its user, and
// keeps it out of core dumps: it holds keys. Only the administrator can still
// look into it.
func HideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing this process's memory to others: %w", err)
	}
	if err := syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	return nil
}
