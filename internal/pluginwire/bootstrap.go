package pluginwire

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// Bootstrap is what a plugin is told on its standard input: its own
// certificate and key, and the certificate of its host. All three are PEM.
type Bootstrap struct {
	Cert     string
	Key      secrets.Value
	HostCert string
}

// bootstrapVersion is the version of the line itself.
const bootstrapVersion = 1

// line is the form of a Bootstrap on the wire.
type line struct {
	Version  int    `json:"version"`
	Cert     string `json:"cert"`
	Key      string `json:"key"`
	HostCert string `json:"host_cert"`
}

// WriteBootstrap writes b as one line.
func WriteBootstrap(w io.Writer, b Bootstrap) error {
	data, err := json.Marshal(line{bootstrapVersion, b.Cert, b.Key.Reveal(), b.HostCert})
	if err != nil {
		return fmt.Errorf("encoding the bootstrap line: %w", err)
	}
	if len(data) >= MaxBootstrap {
		return errors.New("the bootstrap line is too long")
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing the bootstrap line: %w", err)
	}
	return nil
}

// ReadBootstrap reads the first line of r, at most [MaxBootstrap] bytes. It may
// read past the line: nothing follows it but the end of the input. Its errors
// hold nothing of what was read, for that may be a key. Fields that it does
// not know are left to newer plugins.
func ReadBootstrap(r io.Reader) (Bootstrap, error) {
	data, err := bufio.NewReaderSize(r, MaxBootstrap).ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return Bootstrap{}, errors.New("the bootstrap line is too long")
	case errors.Is(err, io.EOF):
		return Bootstrap{}, errors.New("the input ended before the bootstrap line did")
	case err != nil:
		return Bootstrap{}, fmt.Errorf("reading the bootstrap line: %w", err)
	}
	var l line
	if json.Unmarshal(data, &l) != nil {
		return Bootstrap{}, errors.New("the bootstrap line is not the JSON that was expected")
	}
	if l.Version != bootstrapVersion {
		return Bootstrap{}, fmt.Errorf("the host speaks version %d of the bootstrap line, this plugin version %d",
			l.Version, bootstrapVersion)
	}
	return Bootstrap{Cert: l.Cert, Key: secrets.NewValue(l.Key), HostCert: l.HostCert}, nil
}

// PluginTLS is the plugin's end of both directions, as [Identity.HostTLS] is
// the host's.
func (b Bootstrap) PluginTLS() (*tls.Config, error) {
	own, err := tls.X509KeyPair([]byte(b.Cert), []byte(b.Key.Reveal()))
	if err != nil {
		return nil, errors.New("the plugin's certificate and key cannot be used")
	}
	block, rest := pem.Decode([]byte(b.HostCert))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		return nil, errors.New("the host's certificate is not one PEM block")
	}
	host, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the host's certificate: %w", err)
	}
	return mutual(own, host), nil
}
