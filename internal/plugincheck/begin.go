package plugincheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// The checks of how a plugin begins.

// strangerTime is the patience with a connection that is to be refused.
const strangerTime = 5 * time.Second

func checkHandshake(ctx context.Context, k *kit) verdict {
	l, err := k.begin(true)
	if err != nil {
		return failure(err)
	}
	defer l.close()
	parts, err := l.handshake(ctx)
	if err != nil {
		return failure(err)
	}
	k.greeting = parts
	k.addressProblem = addressProblem(parts, l.sockets)
	return passed()
}

func checkCertificate(_ context.Context, k *kit) verdict {
	if _, err := certificateIn(k.greeting); err != nil {
		return failure(err)
	}
	return passed()
}

// certificateIn is the certificate of a program that makes its own; nil for one
// that uses what it was given.
func certificateIn(parts []string) (*x509.Certificate, error) {
	if len(parts) < 6 || parts[5] == "" {
		return nil, nil
	}
	const fix = "leave the sixth field empty, and use the certificates of the bootstrap line on standard input; or write DER in Base64 without \"=\""
	der, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil && strings.Contains(parts[5], "=") {
		return nil, problem{"the certificate in its handshake is padded with \"=\"", fix}
	}
	if err != nil {
		return nil, problem{"the certificate in its handshake is not Base64", fix}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, problem{"the certificate in its handshake cannot be read", fix}
	}
	return cert, nil
}

func checkAddress(_ context.Context, k *kit) verdict {
	if k.addressProblem != nil {
		return failure(k.addressProblem)
	}
	return passed()
}

// addressProblem is what is wrong with the address in a handshake, or nil. It
// is looked at while the program runs.
func addressProblem(parts []string, folder string) error {
	const fix = "listen on a unix socket right in the folder that the variable PLUGIN_UNIX_SOCKET_DIR names"
	network, address := parts[2], parts[3]
	switch {
	case network != "unix":
		return problem{fmt.Sprintf("it listens on the network %q", clean(network, maxSample)), fix}
	case filepath.Clean(address) != address || filepath.Dir(address) != folder:
		return problem{"it listens outside the folder that it was given", fix}
	}
	if info, err := os.Lstat(address); err != nil || info.Mode().Type() != os.ModeSocket {
		return problem{"the address in its handshake is no socket", fix + ", and listen before the handshake is printed"}
	}
	return nil
}

// checkCookie starts the program as a person would who knows no better.
func checkCookie(ctx context.Context, k *kit) verdict {
	const fix = "when the variable " + pluginwire.CookieKey + " is not what a host sets, say on standard error that a host starts this program, and end with exit code 1"
	l, err := k.begin(false)
	if err != nil {
		return failure(err)
	}
	defer l.close()
	patience := k.limit(handshakeTime)
	if !l.process.gone(ctx, patience) {
		return failed(fmt.Sprintf("started without a host, it still runs after %s", patience), fix)
	}
	if l.process.state.Success() {
		return failed("started without a host, it ends with exit code 0", fix)
	}
	l.close() // all that it wrote has been read now
	said := strings.Join(k.log.last(), "\n")
	if strings.IndexFunc(said, unicode.IsLetter) < 0 {
		return failed("started without a host, it says nothing on standard error", fix)
	}
	for _, crash := range []string{"Traceback (most recent call last)", "goroutine ", "\n    at ", "panic: "} {
		if strings.Contains(said, crash) {
			return failed("started without a host, it crashes instead of saying what it is", fix)
		}
	}
	return passed()
}

// checkStrangers connects as others could who reach the socket.
func checkStrangers(ctx context.Context, k *kit) verdict {
	const fix = "serve TLS 1.3 with the certificates of the bootstrap line, and require the host's from whoever connects"
	return during(ctx, k.serving, func(l *launch) verdict {
		if err := l.healthy(ctx, l.conn); err != nil {
			return failure(err)
		}
		other, err := pluginwire.NewIdentity()
		if err != nil {
			return failure(err)
		}
		own, err := l.identity.Bootstrap().PluginTLS()
		if err != nil {
			return failure(err)
		}
		nobody := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
		for _, caller := range []struct {
			name string
			as   credentials.TransportCredentials
		}{
			{"without TLS", insecure.NewCredentials()},
			{"without a certificate", credentials.NewTLS(nobody)},
			{"with the certificate of another host", credentials.NewTLS(stranger(other.HostTLS()))},
			{"with the certificate that it was given itself", credentials.NewTLS(stranger(own))},
		} {
			if l.talksTo(ctx, caller.as) {
				return failed("it answers a caller "+caller.name, fix)
			}
		}
		return passed()
	})
}

// stranger is the TLS configuration of somebody who shows a certificate even to
// a program that asks for another one, and takes whatever the program shows:
// whether the program refuses is asked, not whether the caller does.
func stranger(with *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &with.Certificates[0], nil
		},
	}
}

// talksTo tells whether the program answers such a caller.
func (l *launch) talksTo(ctx context.Context, as credentials.TransportCredentials) bool {
	ctx, cancel := context.WithTimeout(ctx, l.kit.limit(strangerTime))
	defer cancel()
	conn, err := l.dial(l.address, as)
	if err != nil {
		return false
	}
	defer conn.Close()
	return l.healthy(ctx, conn) == nil
}
