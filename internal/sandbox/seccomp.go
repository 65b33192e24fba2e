package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deniedCalls are the system calls that no plugin needs and that reach into
// other processes, the kernel or the system's set-up. A list of what is
// allowed would be shorter-lived: every language's runtime has its own.
func deniedCalls() []uint32 {
	return []uint32{
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
		unix.SYS_PIDFD_GETFD, unix.SYS_KCMP, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT,
		unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT,
		unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL,
		unix.SYS_QUOTACTL_FD, unix.SYS_ACCT, unix.SYS_FANOTIFY_INIT,
		unix.SYS_UNSHARE, unix.SYS_SETNS,
		unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
		unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
		unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
		unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
	}
}

const (
	// Where the kernel puts what a filter looks at; all little-endian.
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
	offsetArg1   = 24
	offsetArg2   = 32

	cloneNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

	otherTable = 0x40000000 // amd64: from here on, numbers of the x32 interface

	allowCall  = unix.SECCOMP_RET_ALLOW
	denyCall   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	noSuch     = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	noProtocol = unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)
	noFamily   = unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)
)

// auditArch is how the kernel names this architecture, or 0 where no filter
// is known.
func auditArch() uint32 {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64
	case "riscv64":
		return unix.AUDIT_ARCH_RISCV64
	}
	return 0
}

// filter is a program for the kernel's small machine. All its jumps are
// forward over one or two instructions.
type filter []unix.SockFilter

func (f *filter) add(code int, k uint32, yes, no uint8) {
	*f = append(*f, unix.SockFilter{Code: uint16(code), Jt: yes, Jf: no, K: k})
}

func (f *filter) load(offset uint32) { f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }

func (f *filter) answer(action uint32) { f.add(unix.BPF_RET|unix.BPF_K, action, 0, 0) }

// when answers with action if the loaded word compares to k.
func (f *filter) when(comparison int, k, action uint32) {
	f.add(unix.BPF_JMP|comparison|unix.BPF_K, k, 0, 1)
	f.answer(action)
}

// unless answers with action if it does not.
func (f *filter) unless(comparison int, k, action uint32) {
	f.add(unix.BPF_JMP|comparison|unix.BPF_K, k, 1, 0)
	f.answer(action)
}

// argument judges one call by one of its arguments. The checks must be few,
// and the last one is what happens otherwise.
func (f *filter) argument(number, offset, otherwise uint32, checks func(*filter)) {
	var body filter
	body.load(offset)
	checks(&body)
	body.answer(otherwise)
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, number, 0, uint8(len(body)))
	*f = append(*f, body...)
}

// newFilter is the filter of system calls. The filter cannot see what a
// pointer points to, so clone3 is answered as by an old kernel, and libraries
// go back to clone, whose flags can be seen.
func newFilter(p Policy) filter {
	var f filter
	f.load(offsetArch)
	f.unless(unix.BPF_JEQ, auditArch(), unix.SECCOMP_RET_KILL_PROCESS)
	f.load(offsetNumber)
	if runtime.GOARCH == "amd64" {
		f.when(unix.BPF_JGE, otherTable, denyCall)
	}
	for _, number := range deniedCalls() {
		f.when(unix.BPF_JEQ, number, denyCall)
	}
	if p.Kernel.Landlock < 3 { // which cannot tell who may truncate a file
		f.when(unix.BPF_JEQ, unix.SYS_TRUNCATE, denyCall)
	}
	if p.Kernel.Namespaces == NoNamespaces { // and the process group is all that its host can kill
		f.when(unix.BPF_JEQ, unix.SYS_SETSID, denyCall)
		f.when(unix.BPF_JEQ, unix.SYS_SETPGID, denyCall)
	}
	f.when(unix.BPF_JEQ, unix.SYS_CLONE3, noSuch)
	f.argument(unix.SYS_CLONE, offsetArg0, allowCall, func(f *filter) {
		f.when(unix.BPF_JSET, cloneNamespaces, denyCall)
	})
	f.argument(unix.SYS_IOCTL, offsetArg1, allowCall, func(f *filter) {
		f.when(unix.BPF_JEQ, unix.TIOCSTI, denyCall) // typing into somebody's terminal
		f.when(unix.BPF_JEQ, unix.TIOCLINUX, denyCall)
	})
	f.argument(unix.SYS_SOCKET, offsetArg0, noFamily, func(f *filter) {
		f.load(offsetArg2)
		for _, protocol := range otherTCP() {
			f.when(unix.BPF_JEQ, protocol, noProtocol)
		}
		f.load(offsetArg0)
		for _, family := range families(p.Network) {
			f.when(unix.BPF_JEQ, family, allowCall)
		}
	})
	f.answer(allowCall)
	return f
}

// families are the kinds of sockets that a program may make. Those of other
// kinds, and all of a network that it may not use, have no other guard on
// older kernels: Landlock knows TCP only.
func families(network bool) []uint32 {
	if network {
		return []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	}
	return []uint32{unix.AF_UNIX}
}

// otherTCP are the protocols that reach TCP's ports, or are like it, and that
// Landlock does not look at. Programs fall back to TCP without them.
func otherTCP() []uint32 {
	return []uint32{unix.IPPROTO_MPTCP, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP}
}

// install makes the filter count for this thread, for ever. It needs
// no-new-privs.
func (f filter) install() error {
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return fmt.Errorf("filtering system calls: %w", errno)
	}
	return nil
}
