package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	accessRead    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	accessExecute = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	accessDevice  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	accessWrite   = accessRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM

	// accessFile is what the kernel takes in a rule for something that is not
	// a folder.
	accessFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	ruleNetPort = 2 // LANDLOCK_RULE_NET_PORT, which x/sys does not name
)

// ruleset is one thread's Landlock rules in the making.
type ruleset struct {
	fd      int
	handled uint64 // the accesses to files that are denied unless allowed
}

// handledFiles are the accesses to files that a version of Landlock knows.
func handledFiles(version int) uint64 {
	handled := uint64(1<<13 - 1) // from EXECUTE to MAKE_SYM
	for _, later := range []struct {
		version int
		access  uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
		{9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
	} {
		if version >= later.version {
			handled |= later.access
		}
	}
	return handled
}

// newRuleset denies everything that this version knows. What the kernel's
// version has beyond the versions known here is left alone.
func newRuleset(version int) (*ruleset, error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handledFiles(version)}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if version >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size += unsafe.Sizeof(attr.Handled_access_net)
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size += unsafe.Sizeof(attr.Scoped)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return nil, fmt.Errorf("making Landlock's rules: %w", errno)
	}
	return &ruleset{fd: int(fd), handled: attr.Handled_access_fs}, nil
}

// allow allows access to path and what is below it.
func (r *ruleset) allow(path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("allowing access to %s: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("allowing access to %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= accessFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access & r.handled, Parent_fd: int32(fd)}
	if rule.Allowed_access == 0 {
		return nil
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd),
		unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allowing access to %s: %w", path, errno)
	}
	return nil
}

// allowPort allows to connect to a TCP port, of any machine.
func (r *ruleset) allowPort(port uint16) error {
	rule := struct{ access, port uint64 }{unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, uint64(port)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), ruleNetPort, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allowing port %d: %w", port, errno)
	}
	return nil
}

// restrict makes the rules count for this thread, for ever.
func (r *ruleset) restrict() error {
	defer unix.Close(r.fd)
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0); errno != 0 {
		return fmt.Errorf("applying Landlock's rules: %w", errno)
	}
	return nil
}

// landlock applies the policy's rules on files and ports to this thread. It
// returns what was granted and could not be, such as a folder that does not
// exist.
func landlock(p Policy) (missing []string, err error) {
	r, err := newRuleset(p.Kernel.Landlock)
	if err != nil {
		return nil, err
	}
	for _, path := range systemFiles() {
		err = errors.Join(err, absent(r.allow(path, accessRead)))
	}
	for _, path := range systemDevices() {
		err = errors.Join(err, absent(r.allow(path, accessDevice)))
	}
	for _, path := range p.Execute {
		err = errors.Join(err, absent(r.allow(path, accessExecute)))
	}
	for _, path := range p.Read {
		if failed := r.allow(path, accessRead); failed != nil {
			missing = append(missing, failed.Error())
		}
	}
	for _, path := range p.Write {
		err = errors.Join(err, r.allow(path, accessWrite|unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX))
	}
	for _, path := range p.Connect {
		err = errors.Join(err, r.allow(path, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX))
	}
	if p.Kernel.Landlock >= 4 && p.Network {
		for _, port := range p.Ports {
			err = errors.Join(err, r.allowPort(port))
		}
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(r.fd))
	}
	return missing, r.restrict()
}

// absent drops the error about a file that is not there, or that the user may
// not see: systems differ in what they have.
func absent(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}
