// Package sandbox starts a program of somebody else with less than its user
// may do: it sees few files, writes into few folders, reaches no network, no
// other process and none of the kernel's rarer calls.
//
// # The idea
//
// What a program may do is a [Policy], which is only data. The kernel takes
// rights away from a running process and never gives them back, so somebody
// has to give them up between the host's fork and the program's first
// instruction. That is this same executable: it starts itself with a hidden
// argument, [Enter] notices it before anything else runs, applies the policy
// to one thread, and that thread becomes the program.
//
//	host ── clone(namespaces) ──▶ /proc/self/exe __plugin-exec
//	                               │ identity maps, parent-death signal, limits
//	                               │ no-new-privs, capabilities, Landlock
//	                               │ every descriptor closes at exec, seccomp
//	                               └─ exec ──▶ the program
//
// The program itself is a [Program]: a sealed copy in memory, or for scripts a
// private copy on disk, whose hash is that of what runs. Only a script that
// belongs to several files runs where it is.
package sandbox

import (
	"errors"
	"fmt"
	"strings"
)

// Mode is how much is asked of the kernel.
type Mode string

// The modes of a sandbox.
const (
	Enforce    Mode = "enforce"     // no-new-privs, Landlock and seccomp, or the program is not started
	BestEffort Mode = "best-effort" // whatever the kernel offers
	Off        Mode = "off"         // nothing
)

// Policy says what one program may do, on which kernel. What it does not
// mention is denied as far as the kernel can.
type Policy struct {
	Mode    Mode
	Kernel  Kernel
	Read    []string // files and folders that it may read, besides the system's libraries
	Write   []string // folders in which it may do anything but execute
	Connect []string // folders of sockets that it may connect to, where the kernel can tell
	Execute []string // files that it may read and execute, besides itself
	Network bool     // it may use the network, and connect over TCP to Ports only
	Ports   []uint16
	Memory  int64 // bytes that it must stay below; 0 for no limit
}

// Refusal says why the policy cannot be enforced, or nothing.
func (p Policy) Refusal() error {
	if p.Mode != Enforce {
		return nil
	}
	if !p.Kernel.Entered {
		return errors.New("this host cannot start it in a sandbox, because its main does not call host.Enter first; " + wayOut)
	}
	var lacks []string
	for _, need := range []struct {
		there bool
		name  string
	}{{p.Kernel.NoNewPrivs, "no-new-privs"}, {p.Kernel.Landlock > 0, "Landlock"}, {p.Kernel.Seccomp, "seccomp"}} {
		if !need.there {
			lacks = append(lacks, need.name)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("the sandbox is enforced, and this kernel lacks %s; %s", strings.Join(lacks, " and "), wayOut)
}

const wayOut = "\"sandbox: best-effort\" in plugins.datasette-secrets would start it with less protection"

// Missing names, for people, what of the policy this kernel cannot apply.
func (p Policy) Missing() []string {
	if p.Mode == Off {
		return nil
	}
	if !p.Kernel.Entered {
		return []string{"everything: the main of this program does not call host.Enter"}
	}
	k, missing := p.Kernel, []string(nil)
	add := func(lacks bool, what string) {
		if lacks {
			missing = append(missing, what)
		}
	}
	add(!k.NoNewPrivs, "no-new-privs")
	add(k.Landlock == 0, "Landlock (files)")
	add(k.Landlock > 0 && k.Landlock < 3 && !k.Seccomp, "Landlock 3 (truncating files)")
	add(p.Network && k.Landlock < 4, "Landlock 4 (only the granted ports)")
	add(!k.Seccomp, "seccomp (system calls)")
	add(!p.Network && !k.Seccomp && k.Namespaces == NoNamespaces, "no network")
	add(k.Namespaces == NoNamespaces, "namespaces (processes, shared memory, network)")
	add(k.Namespaces == NoNamespaces && k.Landlock < 6, "Landlock 6 (signals to other processes)")
	add((k.Namespaces == NoNamespaces || p.Network) && k.Landlock < 6, "Landlock 6 (abstract sockets)")
	add(p.Memory > 0 && k.Groups == "", "a hard limit on memory (the program is told its limit)")
	return missing
}

// systemFiles are what programs read to run at all: libraries, certificates,
// names and time zones. None of it differs between users.
func systemFiles() []string {
	return []string{
		"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/pki/tls", "/etc/pki/ca-trust",
		"/etc/ca-certificates", "/etc/alternatives", "/etc/localtime", "/etc/timezone", "/etc/mime.types",
		"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols",
		"/dev/random", "/dev/urandom", "/dev/zero",
		"/proc/cpuinfo", "/proc/meminfo",
	}
}

// systemDevices may be written to as well.
func systemDevices() []string { return []string{"/dev/null", "/dev/full"} }
