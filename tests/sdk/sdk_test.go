// Package sdk_test runs the SDKs of other languages as their users do: from the
// built package, in a clean environment, under the real host.
package sdk_test

import (
	"os"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// patience bounds every wait in these tests; none takes nearly as long.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}
