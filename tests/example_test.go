package tests

import (
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// The example in Go, in its sandbox. Those in Python and Node are run in tests
// of their SDKs.
func TestExamplePlugin(t *testing.T) {
	t.Parallel()
	harness.RunExample(t, "translator", "--plugins-dir", harness.PluginDir(t, "translator", "examples/plugin-go"))
	if n := strings.Count(read(t, "examples/plugin-go/main.go"), "\n"); n > 40 {
		t.Errorf("the example has %d lines", n)
	}
}
