package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// startSealed starts a host that is sealed by a passphrase, and by a key of
// which its configuration has a wrong one, in the file "other".
func startSealed(t *testing.T) (host *harness.Process, dir string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "paper"), "correct horse battery\n")
	writeFile(t, filepath.Join(dir, "machine"), harness.Key+"\n")
	writeFile(t, filepath.Join(dir, "other"), "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=\n")
	for _, args := range [][]string{
		{"seal", "init", "--name", "paper", "--passphrase-file", "paper", "--work-factor", "10"},
		{"seal", "add", "--name", "machine", "--key-file", "machine", "--with-passphrase-file", "paper"},
	} {
		if r := harness.Run(t, dir, append(args, "--internal", "i.db")...); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	return harness.Start(t, harness.Options{NoKey: true, Dir: dir, Args: []string{
		"--internal", "i.db", "--root", "-s", "plugins.datasette-secrets.seals.machine.key.$file", "other",
	}}), dir
}

func TestPagesOfASealedHost(t *testing.T) {
	t.Parallel()
	host, _ := startSealed(t)
	lookAll(t, host,
		view{"sealed-home", root(), 200, at("/")},
		view{"sealed-secrets", root(), 200, at("/-/secrets")},
		view{"unseal", root(), 200, at("/-/unseal")},
	)
}

// Somebody opens a sealed host with the passphrase on paper, by mouse and by
// keyboard, after a mistake; what the configuration has can be tried again.
func TestUnsealByPage(t *testing.T) {
	t.Parallel()
	const wrong, done = "That does not open any of the seals", "This host is unsealed by the seal "
	host, _ := startSealed(t)
	b := open(t, host)
	b.signIn(root())
	b.visit("/-/unseal")
	mouse{}.enter(b, "Passphrase", "wrong horse battery")
	mouse{}.press(b, "Unseal")
	b.shows(wrong)
	keyboard{}.enter(b, "Passphrase", "correct horse battery")
	keyboard{}.press(b, "Unseal")
	b.shows(done + "paper")
	b.visit("/-/secrets/EXAMPLE_SECRET")
	mouse{}.enter(b, "Secret", "a value")
	mouse{}.press(b, "Add secret")
	b.shows("Secret EXAMPLE_SECRET updated")

	host, dir := startSealed(t)
	b = open(t, host)
	b.signIn(root())
	b.visit("/-/unseal")
	mouse{}.press(b, "Try it again")
	b.shows(wrong)
	if err := os.Rename(filepath.Join(dir, "machine"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	mouse{}.press(b, "Try it again")
	b.shows(done + "machine")
}
