package sandbox_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

func TestGroupMount(t *testing.T) {
	t.Parallel()
	for mountinfo, want := range map[string]string{
		"29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n": "/sys/fs/cgroup",
		"1 2 0:3 / / rw - ext4 /dev/a rw\n" +
			"31 30 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n": "/sys/fs/cgroup/unified",
		"29 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n":    "", // not whole
		"29 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n": "",
		"nonsense\n- cgroup2\n 1 - cgroup2 x\n":                             "",
		"":                                                                  "",
	} {
		if got := sandbox.GroupMount(mountinfo); got != want {
			t.Errorf("%q: %q, want %q", mountinfo, got, want)
		}
	}
}

// Only a group that was handed over to the host is used.
func TestDelegated(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	unit := filepath.Join(mount, "unit")
	if err := os.Mkdir(unit, 0o755); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(unit, "cgroup.subtree_control")
	if got := sandbox.Delegated(unit, mount); got != "" {
		t.Errorf("without controllers: %q", got)
	}
	if err := os.WriteFile(control, []byte("memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if got := sandbox.Delegated(unit, mount); got != "" {
			t.Errorf("a group of the system manager's: %q", got)
		}
	}
	if err := unix.Setxattr(unit, "user.delegate", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if got := sandbox.Delegated(unit, mount); got != unit {
		t.Errorf("a group that was handed over: %q", got)
	}
	if data, err := os.ReadFile(control); err != nil || !strings.HasPrefix(string(data), "+pids") {
		t.Errorf("the controllers asked for: %q, %v", data, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(unit, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if got := sandbox.Delegated(unit, mount); got != "" {
			t.Errorf("somebody else's group: %q", got)
		}
	}
	if got := sandbox.Delegated(mount, mount); got != "" {
		t.Errorf("the whole hierarchy: %q", got)
	}
}

func TestGroupLimits(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := sandbox.Limit(folder, 1<<30); err == nil || !strings.Contains(err.Error(), "pids.max: no such file") {
		t.Errorf("a kernel without the controllers: %v", err)
	}
	if err := sandbox.Limit(folder, 0); err != nil {
		t.Errorf("without a limit on memory: %v", err)
	}
	for _, file := range []string{"pids.max", "memory.max", "memory.swap.max", "memory.oom.group"} {
		if err := os.WriteFile(filepath.Join(folder, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := sandbox.Limit(folder, 1<<30); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"pids.max": "512", "memory.max": "1073741824", "memory.swap.max": "0", "memory.oom.group": "1",
	} {
		if got, err := os.ReadFile(filepath.Join(folder, file)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
}

// A program begins in a control group of its own and cannot outlive it. Where
// groups have no limits, a granted limit is named as missing.
func TestGroup(t *testing.T) {
	policy := enforced(t)
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	mount := sandbox.GroupMount(string(mountinfo))
	groups, err := os.MkdirTemp(mount, "secrets-test-")
	if mount == "" || err != nil {
		if policy.Kernel.Groups != "" {
			t.Errorf("groups are found in %s, where none can be made: %v", policy.Kernel.Groups, err)
		}
		return
	}
	defer func() {
		if err := unix.Rmdir(groups); err != nil {
			t.Errorf("the group is left: %v", err)
		}
	}()
	policy.Kernel.Groups, policy.Memory = groups, 64<<20
	sealed, err := sandbox.Seal(script(t, "#!/bin/sh\n(while :; do read x; done </dev/zero) &\nread x\n"), t.TempDir(), sandbox.Script{})
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	for _, memory := range []int64{0, 64 << 20} {
		policy.Memory = memory
		command, err := entry().Command(sealed, policy, nil, nil, "/")
		if err != nil {
			t.Fatal(err)
		}
		input, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		command.Release()
		missing, err := command.Executed()
		if err != nil {
			t.Error(err)
		}
		there, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", command.Process.Pid))
		limited := strings.Contains(string(there), filepath.Base(groups)+"/secrets-plugin-")
		if told := strings.Contains(strings.Join(missing, ";"), "limiting a control group"); err != nil || limited == told || told && memory == 0 {
			t.Errorf("memory %d: its groups are %v\n%s, without %q", memory, err, there, missing)
		}
		_ = input.Close()
		_ = command.Wait()
		command.Close()
		left, err := filepath.Glob(filepath.Join(groups, "secrets-plugin-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("memory %d: left: %v, %v", memory, left, err)
		}
		if _, err := os.Stat(filepath.Join(groups, "cgroup.procs")); errors.Is(err, fs.ErrNotExist) {
			t.Error("this is no group")
		}
	}
}
