package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// SoftHSMModule is where Debian's package softhsm2 has its PKCS#11 module.
const SoftHSMModule = "/usr/lib/softhsm/libsofthsm2.so"

// TokenPIN is the user PIN of the tokens of the tests.
const TokenPIN = "739215"

// SoftHSM is a folder of software tokens of a test.
type SoftHSM struct {
	Dir string
	Env []string // what the module and its tools need to find the tokens
}

// NewSoftHSM makes a folder with one token of each label.
func NewSoftHSM(t testing.TB, labels ...string) *SoftHSM {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	h := &SoftHSM{Dir: dir, Env: []string{"SOFTHSM2_CONF=" + conf}}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "directories.tokendir = " + filepath.Join(dir, "tokens") + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pin"), []byte(TokenPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, label := range labels {
		h.run(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", TokenPIN, "--so-pin", "987654")
	}
	return h
}

// URI is the URI of an object in a token, with the PIN in a file. module is
// SoftHSMModule, or one that forwards to it.
func (h *SoftHSM) URI(module, label, object string) string {
	return fmt.Sprintf("pkcs11:token=%s;object=%s?module-path=%s&pin-source=file:%s", label, object, module, filepath.Join(h.Dir, "pin"))
}

// Hide takes the tokens away, as if somebody pulled them out, until show is
// called.
func (h *SoftHSM) Hide(t testing.TB) (show func()) {
	t.Helper()
	tokens := filepath.Join(h.Dir, "tokens")
	if err := os.Rename(tokens, tokens+".hidden"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(tokens); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tokens+".hidden", tokens); err != nil {
			t.Fatal(err)
		}
	}
}

// Tool runs OpenSC's pkcs11-tool on a token, logged in, and returns what it
// prints; whether it succeeds is for the test to judge.
func (h *SoftHSM) Tool(t testing.TB, label string, args ...string) (output string, err error) {
	t.Helper()
	args = append([]string{"--module", SoftHSMModule, "--token-label", label, "--login", "--pin", TokenPIN}, args...)
	cmd := exec.Command("pkcs11-tool", args...)
	cmd.Env = Env(h.Env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func (h *SoftHSM) run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = Env(h.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// Shim builds the module of tests/testdata/pkcs11shim, which forwards to
// SoftHSM and fails as its environment says.
func Shim(t testing.TB) string {
	t.Helper()
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shim.so")
	source := filepath.Join(Root(), "tests", "testdata", "pkcs11shim", "shim.c")
	cc := exec.Command("cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", strings.TrimSpace(string(headers)), "-o", path, source, "-ldl")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("building the shim: %v\n%s", err, out)
	}
	return path
}
