package plugincheck

import (
	"context"
	"crypto/tls"
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

// checkCertificate looks at the sixth field. A host gives each launch its
// certificates, so that nobody needs a library to make them.
func checkCertificate(_ context.Context, k *kit) verdict {
	if len(k.greeting) < 6 || k.greeting[5] == "" {
		return passed()
	}
	const fix = "use the certificates of the bootstrap line on standard input, and leave the sixth field empty"
	if strings.Contains(k.greeting[5], "=") {
		return failed("it brings a certificate of its own, and pads it with \"=\", which go-plugin's Base64 does not have", fix)
	}
	return failed("it brings a certificate of its own, which hosts refuse", fix)
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
		anybody := other.HostTLS()
		anybody.InsecureSkipVerify = true // whether the program refuses is asked, not whether the kit does
		nobody := anybody.Clone()
		nobody.Certificates = nil
		for _, stranger := range []struct {
			name string
			as   credentials.TransportCredentials
		}{
			{"without TLS", insecure.NewCredentials()},
			{"without a certificate", credentials.NewTLS(nobody)},
			{"with the certificate of another host", credentials.NewTLS(anybody)},
			{"with the certificate that it was given itself", credentials.NewTLS(l.itself())},
		} {
			if l.talksTo(ctx, stranger.as) {
				return failed("it answers a caller "+stranger.name, fix)
			}
		}
		return passed()
	})
}

// itself is the TLS configuration of somebody who has the program's own
// certificate and key.
func (l *launch) itself() *tls.Config {
	config, err := l.identity.Bootstrap().PluginTLS()
	if err != nil {
		return &tls.Config{MinVersion: tls.VersionTLS13}
	}
	config.InsecureSkipVerify = true
	return config
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
