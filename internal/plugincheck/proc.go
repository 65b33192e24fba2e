package plugincheck

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// groupOf are the other living processes of the process group that pid leads.
func groupOf(pid int) (members []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name in the brackets may hold anything, brackets too.
		after := data[bytes.LastIndexByte(data, ')')+1:]
		fields := bytes.Fields(after) // state, parent, group, …
		other, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || other == pid || len(fields) < 3 {
			continue
		}
		if string(fields[2]) == strconv.Itoa(pid) && string(fields[0]) != "Z" {
			members = append(members, other)
		}
	}
	return members
}

// peakMemory is the most memory that a process had at once, in bytes; 0 if the
// system does not tell.
func peakMemory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if kib, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(kib), []byte(" kB"))), 10, 64)
			return n << 10
		}
	}
	return 0
}
