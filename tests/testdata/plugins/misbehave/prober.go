package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// targets are what a prober attacks. The test tells it where they are, which
// is more than an attacker would know.
type targets struct {
	Database, Key, Folder string // of the host
	Runtime, Neighbour    string // where plugins have their folders, and the socket of one
	PID                   int    // of the host
	TCP, UDP, Abstract    string // addresses that somebody listens at
	OtherTCP              string // another one, that is never granted
	Granted               string // a file that it may read in some tests
}

// probe tries everything that a plugin must not do, and some of what it may,
// and reports each outcome.
func (m *misbehave) probe() {
	r, err := pluginpb.NewConfigurationClient(m.host).GetConfig(context.Background(), &pluginpb.GetConfigRequest{})
	if err != nil {
		complain(err)
	}
	var t targets
	if err := json.Unmarshal(r.GetJson(), &t); err != nil {
		complain(err)
	}
	all := t.probes()
	all["neighbour's socket"] = func() error { return m.useNeighbour(t.Neighbour) }
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := all[name](); err != nil {
			report("probe %s: denied (%v)", name, err)
		} else {
			report("probe %s: allowed.", name)
		}
	}
	report("probes done")
}

func (t targets) probes() map[string]func() error {
	host := fmt.Sprintf("/proc/%d/", t.PID)
	return map[string]func() error{
		"read database":      func() error { return opens(t.Database, os.O_RDONLY) },
		"write database":     func() error { return opens(t.Database, os.O_WRONLY) },
		"truncate database":  func() error { return os.Truncate(t.Database, 1<<20) },
		"remove database":    func() error { return movesAway(t.Database) },
		"read key":           func() error { return opens(t.Key, os.O_RDONLY) },
		"list folder":        func() error { return opens(t.Folder, os.O_RDONLY) },
		"write into folder":  func() error { return writes(filepath.Join(t.Folder, "new")) },
		"write into tmp":     func() error { return writes(fmt.Sprintf("/tmp/prober-%d", time.Now().UnixNano())) },
		"read passwords":     func() error { return opens("/etc/passwd", os.O_RDONLY) },
		"host memory":        func() error { return opens(host+"mem", os.O_RDONLY) },
		"host environment":   func() error { return opens(host+"environ", os.O_RDONLY) },
		"host status":        func() error { return opens(host+"status", os.O_RDONLY) },
		"own environment":    func() error { return opens("/proc/self/environ", os.O_RDONLY) },
		"signal host":        func() error { return syscall.Kill(t.PID, 0) },
		"ptrace host":        func() error { return attach(t.PID) },
		"read host's memory": func() error { return readVM(t.PID) },
		"list neighbours":    func() error { return opens(t.Runtime, os.O_RDONLY) },
		"exec":               func() error { return exec.Command("/bin/true").Run() },
		"connect TCP":        func() error { return dials("tcp", t.TCP) },
		"connect other TCP":  func() error { return dials("tcp", t.OtherTCP) },
		"connect MPTCP":      func() error { return dialsMPTCP(t.OtherTCP) },
		"send UDP":           func() error { return dials("udp", t.UDP) },
		"listen TCP":         listens,
		"abstract socket":    func() error { return dials("unix", t.Abstract) },
		"read granted":       func() error { return opens(t.Granted, os.O_RDONLY) },

		"capabilities":       hasCapabilities,
		"many files":         hasManyFiles,
		"core dumps":         hasCoreDumps,
		"user namespace":     func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"file system":        func() error { return unix.Unshare(unix.CLONE_NEWNS) },
		"cloned namespace":   clones,
		"mount":              mounts,
		"bpf":                func() error { return calls(unix.SYS_BPF, 0, 0, 0) },
		"io_uring":           func() error { return calls(unix.SYS_IO_URING_SETUP, 1, 0, 0) },
		"userfaultfd":        func() error { return calls(unix.SYS_USERFAULTFD, 0, 0, 0) },
		"keyring":            func() error { return calls(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 1) },
		"raw socket":         func() error { return makes(unix.AF_PACKET, unix.SOCK_RAW, 0) },
		"netlink socket":     func() error { return makes(unix.AF_NETLINK, unix.SOCK_RAW, 0) },
		"terminal input":     func() error { return calls(unix.SYS_IOCTL, 0, unix.TIOCSTI, 0) },
		"program's own file": func() error { return opens(os.Args[0], os.O_RDONLY) },

		"may write at home":    func() error { return writes(filepath.Join(os.Getenv("HOME"), "new")) },
		"may move at home":     moves,
		"may listen at home":   listensAtHome,
		"may read libraries":   func() error { return opens("/usr/lib", os.O_RDONLY) },
		"may use /dev/null":    func() error { return opens("/dev/null", os.O_RDWR) },
		"may use /dev/urandom": func() error { return opens("/dev/urandom", os.O_RDONLY) },
		"may signal itself":    func() error { return syscall.Kill(os.Getpid(), 0) },
	}
}

func opens(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func writes(path string) error {
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

func movesAway(path string) error {
	if err := os.Rename(path, path+".gone"); err != nil {
		return err
	}
	return os.Rename(path+".gone", path)
}

func moves() error {
	home := os.Getenv("HOME")
	if err := os.MkdirAll(filepath.Join(home, "a", "b"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "a", "f"), nil, 0o600); err != nil {
		return err
	}
	return errors.Join(os.Rename(filepath.Join(home, "a", "f"), filepath.Join(home, "a", "b", "f")), os.RemoveAll(filepath.Join(home, "a")))
}

func listensAtHome() error {
	l, err := net.Listen("unix", filepath.Join(os.Getenv("HOME"), "s"))
	if err != nil {
		return err
	}
	return l.Close()
}

// attach traces the process with that number. The thread that did must also
// let go, but here the success is already a failure.
func attach(pid int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	return orNil(errno)
}

func readVM(pid int) error {
	local := make([]byte, 8)
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil // it was allowed to look; there is just nothing
	}
	return err
}

func dials(network, address string) error {
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	return err
}

// dialsMPTCP uses a protocol that reaches the same ports as TCP.
func dialsMPTCP(address string) error {
	if err := makes(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP); err != nil {
		return err
	}
	var dialer net.Dialer
	dialer.SetMultipathTCP(true)
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func listens() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

func hasCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data == [2]unix.CapUserData{} {
		return errors.New("none")
	}
	return nil
}

func hasManyFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max <= 256 {
		return fmt.Errorf("at most %d", limit.Max)
	}
	return nil
}

func hasCoreDumps() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		return errors.New("none")
	}
	return nil
}

func clones() error {
	child := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"datasette-secrets-plugin-exits"},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}}
	if err := child.Start(); err != nil {
		return err
	}
	_ = child.Wait()
	return nil
}

func mounts() error {
	home := os.Getenv("HOME")
	if err := unix.Mount("none", home, "tmpfs", 0, ""); err != nil {
		return err
	}
	return unix.Unmount(home, unix.MNT_DETACH)
}

func calls(number, a, b, c uintptr) error {
	_, _, errno := unix.Syscall(number, a, b, c)
	if errno == unix.EPERM || errno == unix.ENOSYS {
		return errno
	}
	return nil // any other answer is that of the call itself
}

func makes(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func orNil(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// useNeighbour asks for a secret over the socket of another plugin.
func (m *misbehave) useNeighbour(socket string) error {
	conn, err := m.dial(socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if answer := (&misbehave{host: conn}).get("HEALTHY_KEY", "root"); answer != "got it from database" {
		return errors.New(answer)
	}
	return nil
}
