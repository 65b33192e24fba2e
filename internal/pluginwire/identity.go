package pluginwire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Identity is the pair of certificates of one launch of one plugin: what the
// host keeps, and what it hands to the plugin.
type Identity struct {
	host      tls.Certificate
	plugin    *x509.Certificate
	bootstrap Bootstrap
}

// NewIdentity makes the certificates for one launch.
func NewIdentity() (Identity, error) {
	host, err := newCertificate("datasette-secrets host")
	if err != nil {
		return Identity{}, err
	}
	plugin, err := newCertificate("datasette-secrets plugin")
	if err != nil {
		return Identity{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(plugin.PrivateKey)
	if err != nil {
		return Identity{}, fmt.Errorf("encoding the plugin's key: %w", err)
	}
	bootstrap := Bootstrap{
		Cert:     encodePEM("CERTIFICATE", plugin.Leaf.Raw),
		Key:      secrets.NewValue(encodePEM("PRIVATE KEY", key)),
		HostCert: encodePEM("CERTIFICATE", host.Leaf.Raw),
	}
	return Identity{host: host, plugin: plugin.Leaf, bootstrap: bootstrap}, nil
}

// HostTLS is the host's end of both directions: client of the plugin's socket
// and server of the plugin's own callback socket. Each call returns a new
// configuration.
func (i Identity) HostTLS() *tls.Config { return mutual(i.host, i.plugin) }

// WithPlugin is the identity of a launch whose plugin does not use the
// certificate that it was given: from now on the host trusts that plugin's own
// and no other.
func (i Identity) WithPlugin(certificate *x509.Certificate) Identity {
	i.plugin = certificate
	return i
}

// Bootstrap is the plugin's part, for [WriteBootstrap].
func (i Identity) Bootstrap() Bootstrap { return i.bootstrap }

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func newCertificate(name string) (tls.Certificate, error) {
	// P-256 is the one curve that every TLS library in use accepts.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	template, err := newTemplate(name)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading back a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// newTemplate describes a certificate that is its own authority and serves
// either end of a connection.
//
// It never expires. Its key lives in the memory of two processes and dies with
// them, which no date could express: a plugin may run for years and connect
// anew at any time, and the clock of a small machine may be set after the
// plugin was started. RFC 5280, section 4.1.2.5, names this last date for the
// purpose.
func newTemplate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{Authority},
		NotBefore:             time.Unix(0, 0).UTC(),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, nil
}

var errOtherCertificate = errors.New("the other end shows another certificate than agreed")

// mutual is the TLS configuration of either side: it shows own, and accepts
// nobody but peer.
func mutual(own tls.Certificate, peer *x509.Certificate) *tls.Config {
	trusted := x509.NewCertPool()
	trusted.AddCert(peer)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{own},
		RootCAs:      trusted,
		ClientCAs:    trusted,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   Authority,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !state.PeerCertificates[0].Equal(peer) {
				return errOtherCertificate // one that peer vouches for is not peer
			}
			return nil
		},
	}
}
