package seals

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// A passphrase is typed twice and shown never; the host is unsealed by typing
// it once.
func TestTypedPassphrase(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	p := harness.AtTerminal(t, dir, harness.Env(), "seal", "init", "--internal", "i.db", "--work-factor", "10")
	p.Await(t, "New passphrase: ")
	if p.Echoes(t) {
		t.Error("the terminal shows what is typed")
	}
	p.Type(t, passphrase+"\n")
	p.Await(t, "The same again: ")
	p.Type(t, passphrase+"\n")
	if code := p.Wait(t); code != 0 || strings.Contains(p.Shown(), "battery") {
		t.Fatalf("exit code %d\n%s", code, p.Shown())
	}
	if !p.Echoes(t) {
		t.Error("the terminal stays silent")
	}

	harness.Start(t, harness.Options{NoKey: true, Dir: dir, Args: []string{"--internal", "i.db"}})
	p = harness.AtTerminal(t, dir, harness.Env(), "unseal", "--internal", "i.db")
	p.Await(t, "Passphrase of the seal passphrase: ")
	p.Type(t, "not the passphrase\n")
	if code := p.Wait(t); code != 3 {
		t.Errorf("a wrong passphrase: exit code %d\n%s", code, p.Shown())
	}
	p = harness.AtTerminal(t, dir, harness.Env(), "unseal", "--internal", "i.db")
	p.Await(t, "Passphrase of the seal passphrase: ")
	p.Type(t, passphrase+"\n")
	if code := p.Wait(t); code != 0 || !strings.Contains(p.Shown(), "unsealed by the seal") || strings.Contains(p.Shown(), "battery") {
		t.Errorf("exit code %d\n%s", code, p.Shown())
	}

	// A command that needs the keys asks by itself, and only once.
	p = harness.AtTerminal(t, dir, harness.Env(), "seal", "add", "--internal", "i.db", "--key-file", "machine")
	p.Await(t, `Passphrase of the seal "passphrase": `)
	p.Type(t, passphrase+"\n")
	if code := p.Wait(t); code != 0 || strings.Count(p.Shown(), "Passphrase of") != 1 {
		t.Errorf("exit code %d\n%s", code, p.Shown())
	}
}

func TestTypedWrongly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := harness.AtTerminal(t, dir, harness.Env(), "seal", "init", "--internal", "i.db")
	p.Await(t, "New passphrase: ")
	p.Type(t, passphrase+"\n")
	p.Await(t, "The same again: ")
	p.Type(t, passphrase+"r\n")
	if code := p.Wait(t); code != 2 || !strings.Contains(p.Shown(), "differ") {
		t.Errorf("exit code %d\n%s", code, p.Shown())
	}

	// CTRL+C at the question gives the terminal back as it was.
	p = harness.AtTerminal(t, dir, harness.Env(), "seal", "init", "--internal", filepath.Join(dir, "i.db"))
	p.Await(t, "New passphrase: ")
	p.Type(t, "half a pass\x03")
	if code := p.Wait(t); code != 130 || !p.Echoes(t) {
		t.Errorf("exit code %d, echo %t\n%s", code, p.Echoes(t), p.Shown())
	}
}

// A PIN that is written down nowhere is typed.
func TestTypedPIN(t *testing.T) {
	t.Parallel()
	dir, soft := folder(t), harness.NewSoftHSM(t, "prod")
	uri := "pkcs11:token=prod;object=key?module-path=" + harness.SoftHSMModule
	env := harness.Env(soft.Env...)
	for _, args := range [][]string{
		{"hsm", "init", "--uri", uri},
		{"seal", "init", "--internal", "i.db", "--uri", uri, "--name", "token"},
	} {
		p := harness.AtTerminal(t, dir, env, args...)
		p.Await(t, "PIN of the token: ")
		p.Type(t, harness.TokenPIN+"\n")
		if code := p.Wait(t); code != 0 || strings.Contains(p.Shown(), harness.TokenPIN) || strings.Count(p.Shown(), "PIN of") != 1 {
			t.Fatalf("%v: exit code %d\n%s", args, code, p.Shown())
		}
	}
	harness.Start(t, harness.Options{NoKey: true, Dir: dir, Env: soft.Env,
		Args: []string{"--internal", "i.db", "-s", "plugins.datasette-secrets.seals.token.uri", uri}})
	p := harness.AtTerminal(t, dir, env, "unseal", "--internal", "i.db")
	p.Await(t, "PIN of the token of the seal token: ")
	p.Type(t, harness.TokenPIN+"\n")
	if code := p.Wait(t); code != 0 || !strings.Contains(p.Shown(), "unsealed by the seal") {
		t.Errorf("exit code %d\n%s", code, p.Shown())
	}
}
