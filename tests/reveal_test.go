package tests

import (
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// revealing lists the files that take clear text out of a secrets.Value with
// Reveal, and how often. Each is a place where a secret can leak: before adding
// one, look for a way to pass the Value on as it is.
func revealing() map[string]int {
	return map[string]int{
		"form.go":                            2, // compares it with the declared pattern; a few characters, where the declaration asks for them
		"value.go":                           1, // its length
		"cmd/datasette-secrets/clientadd.go": 1, // a new client token, to the operator
		"cmd/datasette-secrets/means.go":     2, // a passphrase without its newline; one that was made up, to the operator
		"cmd/datasette-secrets/seal.go":      1, // an exported key, into its file
		"cmd/datasette-secrets/unseal.go":    1, // a passphrase without its newline
		"host/clients.go":                    1, // a new client token, to the command that asked for it
		"host/import.go":                     1, // the key of a file of Datasette, to the keyring
		"host/unseal.go":                     3, // what unseals, to the host through its control socket
		"cmd/datasette-secrets/terminal.go":  2, // the same passphrase twice
		"internal/api/read.go":               1, // gives it to the client that may read it
		"internal/hsm/means.go":              1, // a PIN, to the process that gives it to the token
		"internal/keyring/file.go":           3, // a new key, into a key file
		"internal/keyring/keyring.go":        1, // encrypts it
		"internal/pluginhost/service.go":     1, // gives it to the plugin that declared it
		"internal/pluginhost/validator.go":   1, // gives it to the plugin that tries it out
		"internal/pluginwire/bootstrap.go":   2, // a plugin's TLS key, to the plugin and to its TLS
		"internal/seal/key.go":               1, // decodes the key of a seal
		"internal/seal/passphrase.go":        3, // a passphrase, to age
		"internal/vault/import.go":           2, // whether a value is there already
		"internal/ui/clients.go":             1, // a new client token, onto the page that shows it once
		"internal/vault/put.go":              1, // must be UTF-8
	}
}

func TestClearTextLeavesInKnownPlaces(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				found[s.path]++
			}
			return true
		})
	}
	if want := revealing(); !maps.Equal(found, want) {
		t.Errorf("Reveal is used in\n\t%v\nbut revealing() knows of\n\t%v", found, want)
	}
}

// A template can call a method as well.
func TestNoTemplateReveals(t *testing.T) {
	t.Parallel()
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || path == "build" || path == "tests") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(path); ext != ".html" && ext != ".tmpl" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("..", path))
		if strings.Contains(string(text), "Reveal") {
			t.Errorf("%s reveals a value", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
