package harness

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/pluginapi"
)

// NodePackage packs the SDK for Node as it would be published, installs that
// into a clean folder, once for all test processes, and returns the folder.
func NodePackage(t testing.TB) string {
	t.Helper()
	return madeOnce(t, "node", []string{"sdk/node"}, func(dir string) {
		npm(t, filepath.Join(Root(), "sdk", "node"), "pack", "--pack-destination", dir)
		packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
		if err != nil || len(packed) != 1 {
			t.Fatalf("npm pack made %v, %v", packed, err)
		}
		WriteFile(t, filepath.Join(dir, "package.json"), `{"type": "module", "private": true}`, 0o644)
		// What "npm ci" brought for the SDK's own tests need not come again.
		npm(t, dir, "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", packed[0])
	})
}

func npm(t testing.TB, dir string, args ...string) {
	t.Helper()
	if r := RunCommand(t, dir, os.Environ(), "npm", args...); r.Code != 0 {
		t.Fatalf("npm %s: exit code %d\n%s%s", args[0], r.Code, r.Stdout, r.Stderr)
	}
}

// NodeDir returns a new folder for plugins in Node, from which they find the
// SDK.
func NodeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(NodePackage(t), "plugins")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// AddNodePlugin puts a program in Node into dir, as the plugin name.
func AddNodePlugin(t testing.TB, dir, name, program string) {
	t.Helper()
	WriteFile(t, filepath.Join(dir, "datasette-secrets-plugin-"+name), program, 0o755)
}

// AddNodeProbe is AddProbe, with the probe in Node. dir is from NodeDir.
func AddNodeProbe(t testing.TB, dir, name string, declare ...pluginapi.Secret) *Probe {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(Root(), "tests", "testdata", "plugins", "probe-node", "probe.js"))
	if err != nil {
		t.Fatal(err)
	}
	AddNodePlugin(t, dir, name, string(program))
	return otherEnd(t, dir, name, declare)
}

// WriteFile writes a file of a test. No process is started meanwhile: it would
// hold the file open for a moment, in which a program cannot be executed
// (https://go.dev/issue/22315).
func WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
