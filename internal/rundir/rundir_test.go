package rundir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
)

func TestFolderIsPrivate(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", t.TempDir()} {
		dir, err := rundir.Make(base, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dir)
		info, err := os.Stat(dir)
		if err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("got %v, %v", info, err)
		}
		if base != "" && filepath.Dir(dir) != base {
			t.Errorf("%s is not in %s", dir, base)
		}
	}
}

func TestPathThatIsTooLongLeavesNothing(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), strings.Repeat("x", 90))
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	if dir, err := rundir.Make(base, 10); err == nil || !strings.Contains(err.Error(), "too long for unix sockets") {
		t.Errorf("got %s, %v", dir, err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if dir, err := rundir.Make(filepath.Join(base, "missing"), 10); err == nil {
		t.Errorf("made %s in a folder that is not there", dir)
	}
}
