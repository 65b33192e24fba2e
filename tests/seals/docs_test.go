package seals

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// commands returns the blocks of commands of a document that have this mark.
func commands(t *testing.T, document, mark string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)<!-- "+mark+" -->\n```sh\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no commands marked %q", document, mark)
	}
	return blocks
}

// shell runs commands as somebody types them who has the program in the path.
func shell(t *testing.T, dir string, env []string, block string) {
	t.Helper()
	path := "PATH=" + filepath.Dir(harness.Binary(t)) + ":" + os.Getenv("PATH")
	// What one tries with a passphrase takes a second, and much longer here.
	block = strings.ReplaceAll(block, "--generate-passphrase", "--generate-passphrase --work-factor 10")
	r := harness.RunCommand(t, dir, harness.Env(append(env, path)...), "/bin/sh", "-euc", block)
	if r.Code != 0 {
		t.Fatalf("exit code %d of\n%s\n%s%s", r.Code, block, r.Stdout, r.Stderr)
	}
}

// The commands of docs/seals.md do what it says.
func TestSealsDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sealed.yml"), "plugins: {datasette-secrets: {seals: {machine: {key: {$file: machine.key}}}}}\n")
	for _, block := range commands(t, "seals.md", "run") {
		shell(t, dir, nil, block)
	}
	adopt := folder(t)
	store(t, filepath.Join(adopt, "internal.db"))
	write(t, filepath.Join(adopt, "datasette.yml"), "plugins: {datasette-secrets: {encryption-key: {$file: configured}}}\n")
	write(t, filepath.Join(adopt, "paper.txt"), passphrase)
	for _, block := range commands(t, "seals.md", "run: configured") {
		shell(t, adopt, nil, strings.ReplaceAll(block, "--passphrase-file", "--work-factor 10 --passphrase-file"))
	}
}

// So do those of docs/hsm.md for tokens that are software.
func TestHardwareDocument(t *testing.T) {
	t.Parallel()
	for mark, env := range map[string][]string{
		"run: softhsm": harness.NewSoftHSM(t).Env,
		"run: tpm":     harness.NewTPM(t, "").Env,
	} {
		dir := t.TempDir()
		for _, block := range commands(t, "hsm.md", mark) {
			shell(t, dir, env, block)
		}
	}
}
