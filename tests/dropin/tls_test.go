package dropin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// Over TLS the token goes to the host that the certificates vouch for, and to
// nobody else who answers in its place.
func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALPHA")
	w.set(t, "ALPHA", "hunter2")
	w.Stop(t)
	cert, key := certificate(t)
	w.again(t, "--ssl-certfile", cert, "--ssl-keyfile", key)
	if !strings.HasPrefix(w.URL, "https://") {
		t.Fatalf("serves at %s", w.URL)
	}
	const program = "from datasette_secrets.client import Secrets; print(Secrets(timeout=%s)['ALPHA'])"
	for _, c := range []struct{ trust, timeout, stdout, stderr string }{
		{cert, "30", "hunter2\n", ""},
		{"", "2", "", "HostUnavailable"},
	} {
		env := harness.Env("DATASETTE_SECRETS_HOST="+w.URL, "DATASETTE_SECRETS_TOKEN_FILE="+w.token, "SSL_CERT_FILE="+c.trust)
		r := harness.RunCommand(t, "", env, harness.Dropin(t), "-c", strings.ReplaceAll(program, "%s", c.timeout))
		if r.Stdout != c.stdout || !strings.Contains(r.Stderr, c.stderr) || strings.Contains(r.Stderr, "dssc_") {
			t.Errorf("trusting %q: %q\n%s", c.trust, r.Stdout, r.Stderr)
		}
	}
	if log := w.log(t); strings.Count(strings.Join(log, "\n"), "get ALPHA datasette") != 1 {
		t.Errorf("the one who trusts the host reads once:\n%s", strings.Join(log, "\n"))
	}
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	harness.WriteFile(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})), 0o600)
	harness.WriteFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), 0o600)
	return cert, key
}
