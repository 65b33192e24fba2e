package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TPMModule is where Debian's package libtpm2-pkcs11-1 has its PKCS#11 module.
const TPMModule = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so"

// TPM is a software TPM 2.0 with a PKCS#11 token in it.
type TPM struct {
	Dir string
	Env []string // what the module and its tools need to find it
}

// NewTPM starts a software TPM, its resource manager and the bus between them,
// and makes a token if that has a label. They end with the test.
func NewTPM(t testing.TB, label string) *TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // the folder of a test can be too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, folder := range []string{"state", "store"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pin"), []byte(TokenPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tpm := &TPM{Dir: dir, Env: []string{
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(dir, "bus"),
		"TPM2_PKCS11_STORE=" + filepath.Join(dir, "store"),
		"TPM2_PKCS11_TCTI=tabrmd:bus_type=session", "TPM2TOOLS_TCTI=tabrmd:bus_type=session",
	}}
	socket := filepath.Join(dir, "tpm")
	tpm.start(t, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+filepath.Join(dir, "state"),
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "startup-clear")
	tpm.start(t, "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path="+filepath.Join(dir, "bus"))
	await(t, filepath.Join(dir, "bus"), socket, socket+".ctrl")
	tpm.start(t, "/usr/sbin/tpm2-abrmd", "--session", "--allow-root", "--tcti=swtpm:path="+socket)
	tpm.retry(t, "tpm2_getrandom", "--hex", "4") // until the resource manager answers
	if label == "" {
		return tpm
	}
	tpm.retry(t, "tpm2_ptool", "init", "--path", filepath.Join(dir, "store"))
	tpm.retry(t, "tpm2_ptool", "addtoken", "--pid=1", "--label="+label, "--userpin="+TokenPIN, "--sopin=987654", "--path", filepath.Join(dir, "store"))
	return tpm
}

// URI is the URI of an object in the token.
func (p *TPM) URI(label, object string) string {
	return fmt.Sprintf("pkcs11:token=%s;object=%s?module-path=%s&pin-source=file:%s", label, object, TPMModule, filepath.Join(p.Dir, "pin"))
}

// start starts a daemon that ends with the test.
func (p *TPM) start(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = Env(p.Env...), p.Dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// retry runs a command until it succeeds.
func (p *TPM) retry(t testing.TB, name string, args ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		cmd := exec.Command(name, args...)
		cmd.Env, cmd.Dir = Env(p.Env...), p.Dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
}

// await waits until files exist.
func await(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
			if _, err := os.Stat(path); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not come", path)
			}
		}
	}
}
