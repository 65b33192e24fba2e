package pluginwire_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

func newIdentity(t testing.TB) pluginwire.Identity {
	t.Helper()
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// pluginTLS is the plugin's end, after a journey through the bootstrap line.
func pluginTLS(t testing.TB, identity pluginwire.Identity) *tls.Config {
	t.Helper()
	var line bytes.Buffer
	if err := pluginwire.WriteBootstrap(&line, identity.Bootstrap()); err != nil {
		t.Fatal(err)
	}
	bootstrap, err := pluginwire.ReadBootstrap(&line)
	if err != nil {
		t.Fatal(err)
	}
	config, err := bootstrap.PluginTLS()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// handshake tries to connect and to carry one byte each way, and returns the
// error of each end.
func handshake(t testing.TB, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		done <- greet(tls.Server(conn, server))
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	clientErr = greet(tls.Client(conn, client))
	conn.Close()
	return <-done, clientErr
}

func greet(conn *tls.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

func TestIdentityServesBothDirections(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	host, plugin := identity.HostTLS(), pluginTLS(t, identity)
	for name, ends := range map[string][2]*tls.Config{
		"host calls plugin": {plugin, host},
		"plugin calls host": {host, plugin},
	} {
		if serverErr, clientErr := handshake(t, ends[0], ends[1]); serverErr != nil || clientErr != nil {
			t.Errorf("%s: server %v, client %v", name, serverErr, clientErr)
		}
	}
}

func TestIdentityTrustsNobodyElse(t *testing.T) {
	t.Parallel()
	ours, theirs := newIdentity(t), newIdentity(t)
	noCert := pluginTLS(t, ours)
	noCert.Certificates = nil
	old := pluginTLS(t, ours)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	cases := []struct {
		name           string
		server, client *tls.Config
	}{
		{"another plugin calls our host", ours.HostTLS(), pluginTLS(t, theirs)},
		{"our host calls another plugin", pluginTLS(t, theirs), ours.HostTLS()},
		{"a plugin without a certificate", ours.HostTLS(), noCert},
		{"the host's certificate is not the plugin's", ours.HostTLS(), ours.HostTLS()},
		{"TLS 1.2", ours.HostTLS(), old},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if serverErr, clientErr := handshake(t, c.server, c.client); serverErr == nil || clientErr == nil {
				t.Errorf("server %v, client %v: both should fail", serverErr, clientErr)
			}
		})
	}
}

// A plugin that brings its own certificate is trusted by that alone: no more by
// the one that it was given, and not by what its own would vouch for.
func TestIdentityWithPlugin(t *testing.T) {
	t.Parallel()
	ours := newIdentity(t)
	block, _ := pem.Decode([]byte(ours.Bootstrap().HostCert))
	host, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	own, stranger := newBare(t, nil, host), newBare(t, nil, host)
	vouched := newBare(t, own, host)
	trusting := ours.WithPlugin(own.Certificates[0].Leaf)
	for name, c := range map[string]struct {
		plugin  *tls.Config
		trusted bool
	}{
		"its own":                 {own, true},
		"what it was given":       {pluginTLS(t, ours), false},
		"signed by its own":       {vouched, false},
		"its like from elsewhere": {stranger, false},
	} {
		serverErr, clientErr := handshake(t, c.plugin, trusting.HostTLS())
		if trusted := serverErr == nil && clientErr == nil; trusted != c.trusted {
			t.Errorf("host calls %s: %v, %v", name, serverErr, clientErr)
		}
		serverErr, clientErr = handshake(t, trusting.HostTLS(), c.plugin)
		if trusted := serverErr == nil && clientErr == nil; trusted != c.trusted {
			t.Errorf("%s calls host: %v, %v", name, serverErr, clientErr)
		}
	}
}

// newBare is the end of a plugin with a new certificate, signed by itself or
// that of another.
func newBare(t *testing.T, signer *tls.Config, host *x509.Certificate) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signingKey, chain := template, any(key), [][]byte(nil)
	if signer != nil {
		parent, signingKey = signer.Certificates[0].Leaf, signer.Certificates[0].PrivateKey
		chain = signer.Certificates[0].Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signingKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(host)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "localhost",
	}
}

func TestIdentityOutlivesAnyProcess(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	host, plugin := identity.HostTLS(), pluginTLS(t, identity)
	for _, year := range []int{1971, 2100} {
		clock := func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		host.Time, plugin.Time = clock, clock
		if serverErr, clientErr := handshake(t, plugin, host); serverErr != nil || clientErr != nil {
			t.Errorf("in %d: server %v, client %v", year, serverErr, clientErr)
		}
	}
}

func TestIdentityHidesItsKeys(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	key := strings.Split(identity.Bootstrap().Key.Reveal(), "\n")[1]
	shown := fmt.Sprintf("%v %+v %#v", identity, identity, identity) + fmt.Sprintf("%v %#v", identity.Bootstrap(), identity.Bootstrap())
	if strings.Contains(shown, key) {
		t.Error("a printed identity shows the plugin's key")
	}
}
