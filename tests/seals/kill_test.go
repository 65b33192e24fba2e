package seals

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/seal"
	"github.com/datasette-secrets/datasette-secrets/internal/vault"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// steps are the system calls with which a program changes files.
const steps = "pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat2"

// briefly is how many steps of each command "make test" looks at.
const briefly = 3

// kill -9 before each step of a command that changes seals leaves a database
// whose secrets can be read with what opened it before, or with what opens it
// after: never with nothing.
func TestKilledWhileChangingSeals(t *testing.T) {
	t.Parallel()
	adopt := []string{"-s", "plugins.datasette-secrets.encryption-key.$file", "configured"}
	with := []string{"--with-passphrase-file", "paper", "--with-key-file", "machine"}
	for _, test := range []struct {
		name    string
		command []string
		sealed  bool // before the command
		always  []string
		either  []string
	}{
		{"adopt", append([]string{"seal", "adopt", "--name", "machine", "--key-file", "machine"}, adopt...), false, nil, []string{"configured", "machine"}},
		{"add", append([]string{"seal", "add", "--name", "other", "--key-file", "other"}, with...), true, []string{"paper", "machine"}, nil},
		{"remove", append([]string{"seal", "remove", "machine"}, with...), true, []string{"paper"}, nil},
		{"rewrap one", append([]string{"seal", "rewrap", "machine", "--key-file", "other"}, with...), true, []string{"paper"}, []string{"machine", "other"}},
		{"rewrap all", append([]string{"seal", "rewrap"}, with...), true, []string{"paper", "machine"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			before := filepath.Join(dir, "before.db")
			store(t, before)
			if test.sealed {
				run(t, dir, append([]string{"seal", "adopt", "--internal", "before.db", "--name", "paper", "--passphrase-file", "paper", "--work-factor", "10"}, adopt...)...)
				run(t, dir, "seal", "add", "--internal", "before.db", "--name", "machine", "--key-file", "machine", "--with-passphrase-file", "paper")
			}
			total := killAt(t, dir, 0, test.command)
			if total < briefly {
				t.Fatalf("the command takes only %d steps", total)
			}
			stride := 1
			if !harness.Soak() {
				stride = total / briefly
			}
			for n := 1; n <= total; n += stride {
				killAt(t, dir, n, test.command)
				stillOpens(t, filepath.Join(dir, "i.db"), fmt.Sprintf("killed at step %d of %d", n, total), test.always, test.either)
			}
		})
	}
}

// killAt runs a command on a fresh copy of the database, kills it before its
// n-th step unless n is 0, and returns how many steps it came.
func killAt(t *testing.T, dir string, n int, command []string) int {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		os.Remove(filepath.Join(dir, "i.db"+suffix))
		if data, err := os.ReadFile(filepath.Join(dir, "before.db"+suffix)); err == nil {
			write(t, filepath.Join(dir, "i.db"+suffix), string(data))
		}
	}
	log := filepath.Join(dir, "steps")
	args := []string{"-f", "--seccomp-bpf", "-qq", "-o", log, "-e", "trace=" + steps}
	if n > 0 {
		args = append(args, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", steps, n))
	}
	args = append(append(append(args, harness.Binary(t)), command...), "--internal", "i.db")
	cmd := exec.Command("strace", args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, harness.Env(), &stderr
	if err := cmd.Run(); err != nil && n == 0 {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "(")
}

// stillOpens checks that the value can be read with each of always, and with
// exactly one of either.
func stillOpens(t *testing.T, path, when string, always, either []string) {
	t.Helper()
	for _, with := range always {
		if err := reads(t, path, with); err != nil {
			t.Errorf("%s: with %s: %v", when, with, err)
		}
	}
	works, failures := 0, []error{}
	for _, with := range either {
		if err := reads(t, path, with); err == nil {
			works++
		} else {
			failures = append(failures, err)
		}
	}
	if len(either) > 0 && works != 1 {
		t.Errorf("%s: %d of %v open it: %v", when, works, either, failures)
	}
}

// reads reads the value with one of the files of folder.
func reads(t *testing.T, path, with string) error {
	t.Helper()
	v := opened(t, path, harness.Key)
	sealed, err := v.HasSeals(context.Background())
	if err != nil {
		return err
	}
	if sealed {
		v.Seal()
		means := map[string]func() seal.Means{
			"paper":      func() seal.Means { return byPassphrase(t) },
			"machine":    func() seal.Means { return byKey(t, machineKey) },
			"other":      func() seal.Means { return byKey(t, otherKey) },
			"configured": func() seal.Means { return byKey(t, harness.Key) }, // it is a key, but opens no seal
		}[with]()
		operator := secrets.Caller{Actor: secrets.NewActor("op"), Proof: secrets.ProofLocal}
		if _, err := v.Unseal(context.Background(), operator, []vault.Opening{{Means: means}}); err != nil {
			return err
		}
	} else if with != "configured" {
		return fmt.Errorf("there are no seals")
	}
	got, err := read(v)
	if err == nil && got != value {
		err = fmt.Errorf("read %q", got)
	}
	return err
}
