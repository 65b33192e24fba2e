package sandbox_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Enter(os.Args)
	os.Exit(m.Run())
}

func entry() sandbox.Entry { return sandbox.Enter(nil) }

// output runs a program under a policy and returns what it wrote.
func output(t *testing.T, program string, policy sandbox.Policy, args ...string) (string, error) {
	t.Helper()
	sealed, err := sandbox.Seal(program, t.TempDir(), sandbox.Script{})
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	command, err := entry().Command(sealed, policy, args, []string{"PATH=" + sandbox.Path}, "/")
	if err != nil {
		return "", err
	}
	defer command.Close()
	var written bytes.Buffer
	command.Stdout, command.Stderr = &written, &written
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	command.Release()
	missing, err := command.Executed()
	ended := command.Wait()
	if err != nil {
		return written.String(), err
	}
	if ended != nil || len(missing) > 0 {
		t.Errorf("it ended with %v, without %q:\n%s", ended, missing, written.String())
	}
	return written.String(), nil
}

func enforced(t *testing.T) sandbox.Policy {
	t.Helper()
	policy := sandbox.Policy{Mode: sandbox.Enforce, Kernel: entry().Probe()}
	if err := policy.Refusal(); err != nil {
		t.Skip(err)
	}
	return policy
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Nothing that the host has open reaches the program, and its limits hold.
func TestNothingIsInherited(t *testing.T) {
	policy := enforced(t)
	leak, err := unix.Dup(2) // a descriptor that somebody forgot to mark
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	path := script(t, `#!/bin/sh
i=3
while [ $i -lt 10 ]; do
	(: <&$i) 2>/dev/null && echo "open $i"
	i=$((i+1))
done
echo "files $(ulimit -n) cores $(ulimit -c) pid $$ args $*"
`)
	got, err := output(t, path, policy, "a", "b c")
	if err != nil {
		t.Fatal(err)
	}
	want := "files 256 cores 0 pid 1 args a b c\n"
	if policy.Kernel.Namespaces == sandbox.NoNamespaces {
		want, got = "files 256 cores 0", got[:len("files 256 cores 0")]
	}
	if got != want {
		t.Errorf("it wrote %q, want %q", got, want)
	}
}

// Interpreters start, and can load what they need.
func TestInterpreters(t *testing.T) {
	policy := enforced(t)
	for _, test := range []struct{ interpreter, text string }{
		{"/bin/sh", "#!/bin/sh\necho hello\n"},
		{"/usr/bin/env", "#!/usr/bin/env sh\necho hello\n"},
		{"/usr/bin/python3", "#!/usr/bin/env python3\nimport json, ssl, socket, threading, tempfile\nprint('hello')\n"},
		{"/usr/bin/node", "#!/usr/bin/node\nrequire('tls'); console.log('hello')\n"},
	} {
		t.Run(filepath.Base(test.interpreter), func(t *testing.T) {
			if _, err := os.Stat(test.interpreter); err != nil {
				t.Skip(err)
			}
			if got, err := output(t, script(t, test.text), policy); err != nil || got != "hello\n" {
				t.Errorf("it wrote %q, %v", got, err)
			}
		})
	}
}

func TestCannotBeExecuted(t *testing.T) {
	policy := enforced(t)
	for text, want := range map[string]string{
		"no program":                 "it could not be executed: exec format error",
		"#!/no/such/interpreter\n\n": "it could not be executed: no such file or directory",
	} {
		if _, err := output(t, script(t, text), policy); err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

// Somebody who types the hidden argument learns what it is, and gets no more.
func TestEnterByHand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], sandbox.Argument)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 126 || !strings.Contains(string(text), "of no use by hand") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestRefusalAndMissing(t *testing.T) {
	t.Parallel()
	whole := sandbox.Kernel{Entered: true, NoNewPrivs: true, Landlock: 7, Seccomp: true, Namespaces: sandbox.RootNamespaces}
	bare := whole
	bare.Namespaces, bare.Landlock = sandbox.NoNamespaces, 1
	grouped := whole
	grouped.Groups = "/sys/fs/cgroup/x"
	for _, test := range []struct {
		policy  sandbox.Policy
		refused bool
		missing []string
	}{
		{sandbox.Policy{Mode: sandbox.Enforce, Kernel: whole}, false, nil},
		{sandbox.Policy{Mode: sandbox.Enforce, Kernel: whole, Network: true, Memory: 1 << 30}, false,
			[]string{"a hard limit on memory (the program is told its limit)"}},
		{sandbox.Policy{Mode: sandbox.Enforce, Kernel: grouped, Memory: 1 << 30}, false, nil},
		{sandbox.Policy{Mode: sandbox.Enforce, Kernel: bare, Network: true}, false,
			[]string{"Landlock 4 (only the granted ports)", "namespaces (processes, shared memory, network)",
				"Landlock 6 (signals to other processes)", "Landlock 6 (abstract sockets)"}},
		{sandbox.Policy{Mode: sandbox.Enforce}, true, []string{"everything: the main of this program does not call host.Enter"}},
		{sandbox.Policy{Mode: sandbox.Off}, false, nil},
	} {
		if err := test.policy.Refusal(); (err != nil) != test.refused {
			t.Errorf("%+v: %v", test.policy, err)
		}
		if got := test.policy.Missing(); !slices.Equal(got, test.missing) {
			t.Errorf("%+v: missing %q, want %q", test.policy, got, test.missing)
		}
	}
}
