// Package tests keeps the rules of the house: what may import what, which
// dependencies there are, where SQL and clear text may stand. It reads the
// code; the programs are tested by the packages below this folder.
package tests

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/datasette-secrets/datasette-secrets"

// floors says on which floor each package lives. A package imports only lower
// floors, so that dependencies go one way and neighbours do not know each
// other. docs/architecture.md draws the same table.
func floors() map[string]int {
	return map[string]int{
		"":                       1,
		"internal/config":        1,
		"internal/project":       1,
		"internal/script":        1,
		"internal/signing":       1,
		"internal/audit":         1,
		"internal/batch":         1,
		"internal/httpconn":      1,
		"internal/keymem":        1,
		"internal/pluginpb":      1,
		"internal/rundir":        1,
		"internal/access":        2,
		"internal/control":       2,
		"internal/db":            2,
		"internal/keyring":       2,
		"internal/metrics":       2,
		"internal/pluginwire":    2,
		"internal/sandbox":       2,
		"internal/seal":          2,
		"internal/source":        2,
		"internal/token":         2,
		"internal/hsm":           3,
		"internal/vault":         3,
		"pluginapi":              3,
		"internal/api":           4,
		"internal/plugincheck":   4,
		"internal/pluginhost":    4,
		"internal/ui":            4,
		"pluginapi/plugintest":   4,
		"plugins/demo":           4,
		"examples/plugin-go":     4,
		"host":                   5,
		"cmd/datasette-secrets":  6,
		"tests":                  8,
		"tests/api":              8,
		"tests/authors":          8,
		"tests/bench":            8,
		"tests/browser":          8,
		"tests/chaos":            8,
		"tests/conformance":      8,
		"tests/dropin":           8,
		"tests/crash":            8,
		"tests/harness":          7,
		"tests/interop":          8,
		"tests/sdk":              8,
		"tests/seals":            8,
		"tests/sdknode":          8,
		"tests/testdata/plugins": 8,
	}
}

// onlyFor names packages that few may import.
func onlyFor() map[string][]string {
	return map[string][]string{
		// The one door: whoever writes the database records what it did.
		"internal/db": {"internal/vault", "host"},
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func (p goPackage) name() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func TestFloors(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		floor, ok := floorOf(p.name())
		if !ok {
			t.Errorf("%q has no floor; give it one in floors and in docs/architecture.md", p.name())
			continue
		}
		for _, path := range p.Imports {
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			imported := goPackage{ImportPath: path}.name()
			if below, _ := floorOf(imported); below >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.name(), floor, imported, below)
			}
			if few := onlyFor()[imported]; few != nil && floor < 7 && !contains(few, p.name()) {
				t.Errorf("%s imports %s, which only %v may", p.name(), imported, few)
			}
		}
	}
}

func floorOf(name string) (int, bool) {
	if strings.HasPrefix(name, "tests/testdata/plugins/") {
		name = "tests/testdata/plugins"
	}
	floor, ok := floors()[name]
	return floor, ok
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// list asks the go command about packages of the module.
func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
