package pluginhost

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// maxHandshake is how long the handshake line may be. It holds a path, a few
// words and perhaps a certificate.
const maxHandshake = 4 << 10

// exitGrace is how long a process may take to end after its output did.
const exitGrace = 500 * time.Millisecond

// stdout is what go-plugin sees of a plugin's standard output: the handshake
// line, checked, and the end of the process. go-plugin reads with a Scanner
// that gives up at a long line, after which nobody would empty the pipe.
type stdout struct {
	*io.PipeReader
	handshake *io.PipeWriter

	mu   sync.Mutex
	cert *x509.Certificate // that the plugin brings; nil if it uses the one it was given
	err  error
}

func newStdout() *stdout {
	r, w := io.Pipe()
	return &stdout{PipeReader: r, handshake: w}
}

// read takes the handshake from the process and writes whatever follows to
// rest, until the pipe ends.
func (s *stdout) read(p *process, rest io.Writer) {
	defer s.handshake.Close() // the end, as go-plugin sees it
	r := bufio.NewReaderSize(p.stdout, maxHandshake)
	line, err := handshakeLine(r)
	if err == nil {
		s.accept(line)
	} else {
		if errors.Is(err, errNoHandshake) && p.gone(context.Background(), exitGrace) {
			err = fmt.Errorf("it ended before the handshake (%s)", p.exit())
		}
		s.fail(err)
		_ = s.handshake.Close() // go-plugin need not wait for more
	}
	_, _ = io.Copy(rest, r)
}

// accept hands the line to go-plugin, without a certificate: whom to trust is
// the host's to decide.
func (s *stdout) accept(line handshake) {
	s.mu.Lock()
	s.cert = line.cert
	s.mu.Unlock()
	_, _ = io.WriteString(s.handshake, line.text+"\n")
}

// certificate is what the plugin brings, once the handshake is over.
func (s *stdout) certificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert
}

func (s *stdout) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// failure is what was wrong with the handshake.
func (s *stdout) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// errNoHandshake: the output ended, most often together with the process.
var errNoHandshake = errors.New("it closed its standard output before the handshake")

// handshake is a line that was found to be one.
type handshake struct {
	text string            // the line without a certificate
	cert *x509.Certificate // or nil
}

func handshakeLine(r *bufio.Reader) (handshake, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return handshake{}, fmt.Errorf("the first line of its standard output is longer than %d bytes, which is no handshake", maxHandshake)
	}
	if err != nil {
		return handshake{}, errNoHandshake
	}
	return parseHandshake(string(line))
}

// parseHandshake reads CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE with
// more fields to come. Nothing of the line is repeated in an error.
func parseHandshake(line string) (handshake, error) {
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 5 {
		return handshake{}, errors.New("the first line of its standard output is no handshake")
	}
	if fields[0] != strconv.Itoa(plugin.CoreProtocolVersion) {
		return handshake{}, errors.New("it speaks another version of the go-plugin protocol")
	}
	if fields[1] != strconv.Itoa(pluginwire.ProtocolVersion) {
		return handshake{}, fmt.Errorf("it speaks another version of the plugin protocol than this host, which speaks %d",
			pluginwire.ProtocolVersion)
	}
	if fields[2] != "unix" {
		return handshake{}, errors.New("it listens on a network; a plugin must listen on a unix socket in the folder that it is given")
	}
	if fields[4] != string(plugin.ProtocolGRPC) {
		return handshake{}, errors.New("it does not speak gRPC")
	}
	if len(fields) == 5 || fields[5] == "" {
		return handshake{text: strings.Join(fields, "|")}, nil
	}
	cert, err := parseCertificate(fields[5])
	if err != nil {
		return handshake{}, err
	}
	fields[5] = ""
	return handshake{text: strings.Join(fields, "|"), cert: cert}, nil
}

// parseCertificate reads the certificate of a plugin that makes its own, as
// go-plugin's AutoMTLS does: DER in Base64 without padding.
func parseCertificate(field string) (*x509.Certificate, error) {
	der, err := base64.RawStdEncoding.DecodeString(field)
	if err != nil {
		return nil, errors.New("the certificate in its handshake is not Base64 without padding")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("the certificate in its handshake cannot be read")
	}
	return cert, nil
}
