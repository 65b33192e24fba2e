package sandbox

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Namespaces is how new namespaces can be made.
type Namespaces string

// The ways to new namespaces.
const (
	NoNamespaces     Namespaces = ""           // not at all
	RootNamespaces   Namespaces = "as root"    // the host may
	WithinUserSpaces Namespaces = "within one" // within a user namespace of the program's own
)

// Kernel is what the system offers for sandboxes. The zero Kernel offers
// nothing.
type Kernel struct {
	Entered    bool // this program calls Enter
	NoNewPrivs bool
	Landlock   int // its version; 0 for none
	Seccomp    bool
	Namespaces Namespaces
	Groups     string // a folder for control groups with limits; empty without
}

// probeTime is how long the attempt to make namespaces may take.
const probeTime = 5 * time.Second

// Probe asks the kernel what it offers. It starts up to two short processes.
func (e Entry) Probe() Kernel {
	if !e.entered {
		return Kernel{}
	}
	noNewPrivs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	k := Kernel{
		Entered:    true,
		NoNewPrivs: err == nil && noNewPrivs >= 0,
		Landlock:   landlockVersion(),
		Seccomp:    hasSeccomp(),
		Groups:     findGroups(),
	}
	for _, way := range []Namespaces{RootNamespaces, WithinUserSpaces} {
		if (way == WithinUserSpaces || os.Geteuid() == 0) && canUse(way) {
			k.Namespaces = way
			break
		}
	}
	return k
}

// landlockVersion is the version of Landlock's interface, or 0.
func landlockVersion() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

func hasSeccomp() bool {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return errno == 0 && auditArch() != 0
}

// canUse makes namespaces once to see whether that works. Asking is not
// enough: a system may let a process make them and then make them useless.
func canUse(way Namespaces) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	orders, err := order{Namespaces: way, UID: os.Geteuid(), GID: os.Getegid()}.file()
	if err != nil {
		return false
	}
	defer orders.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", argument)
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{orders}
	cmd.SysProcAttr = attributes(way, true)
	return cmd.Run() == nil
}

// attributes are how a process with namespaces of its own is cloned. The host
// cannot write the maps of a user namespace, because its own memory is closed
// to its user and Linux takes that for a sign; so the new process keeps the
// capabilities that it needs to write them itself, and to drop all.
func attributes(way Namespaces, network bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if way == NoNamespaces {
		return attr
	}
	attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWIPC
	if network {
		attr.Cloneflags |= unix.CLONE_NEWNET
	}
	if way == WithinUserSpaces {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	return attr
}
