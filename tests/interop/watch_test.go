package interop_test

import (
	"slices"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// A plugin of ours hears of what is changed in Python's Datasette on the same
// file, and never reads an old value after that, although it may keep values.
func TestChangesByPythonAreTold(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	host, probe := startProbed(t, file, "-s", "plugins.datasette-secrets.plugins.probe.max-age", "1h")
	python := startPython(t, file)
	set(t, host, "SHARED", "of host", "")
	told := func(want pluginapi.Change) {
		t.Helper()
		eventually(t, "the plugin to be told", func() bool { return slices.Contains(probe.Changes(t), want) })
	}
	told(pluginapi.Change{Kind: pluginapi.Opened})
	read := func(want string) {
		t.Helper()
		for range 3 {
			if got, err := probe.Get(t, "SHARED", "ann"); err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
	}
	read("of host")
	set(t, python, "SHARED", "of Python", "")
	told(pluginapi.Change{Kind: pluginapi.Updated, Name: "SHARED", Version: 2})
	read("of Python")
	set(t, host, "SHARED", "of host again", "")
	told(pluginapi.Change{Kind: pluginapi.Updated, Name: "SHARED", Version: 3})
	read("of host again")
}
