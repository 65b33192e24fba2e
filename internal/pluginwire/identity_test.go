package pluginwire_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
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
