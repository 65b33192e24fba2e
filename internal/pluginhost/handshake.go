package pluginhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	plugin "github.com/hashicorp/go-plugin"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// maxHandshake is how long the handshake line may be. It holds a path and a
// few words.
const maxHandshake = 4 << 10

// stdout is what go-plugin sees of a plugin's standard output: the handshake
// line, checked, and the end of the process. go-plugin reads with a Scanner
// that gives up at a long line, after which nobody would empty the pipe.
type stdout struct {
	*io.PipeReader
	handshake *io.PipeWriter

	mu  sync.Mutex
	err error
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
		_, _ = s.handshake.Write(line)
	} else {
		if errors.Is(err, errNoHandshake) && p.gone(context.Background(), pipeGrace) {
			err = fmt.Errorf("it ended before the handshake (%s)", p.exit())
		}
		s.fail(err)
		_ = s.handshake.Close() // go-plugin need not wait for more
	}
	_, _ = io.Copy(rest, r)
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

func handshakeLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("the first line of its standard output is longer than %d bytes, which is no handshake", maxHandshake)
	}
	if err != nil {
		return nil, errNoHandshake
	}
	return line, checkHandshake(string(line))
}

// checkHandshake reads CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE with
// more fields to come. Nothing of the line is repeated in an error.
func checkHandshake(line string) error {
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 5 {
		return errors.New("the first line of its standard output is no handshake")
	}
	if fields[0] != strconv.Itoa(plugin.CoreProtocolVersion) {
		return errors.New("it speaks another version of the go-plugin protocol")
	}
	if fields[1] != strconv.Itoa(pluginwire.ProtocolVersion) {
		return fmt.Errorf("it speaks another version of the plugin protocol than this host, which speaks %d",
			pluginwire.ProtocolVersion)
	}
	if fields[2] != "unix" {
		return errors.New("it listens on a network; a plugin must listen on a unix socket in the folder that it is given")
	}
	if fields[4] != string(plugin.ProtocolGRPC) {
		return errors.New("it does not speak gRPC")
	}
	if len(fields) > 5 && fields[5] != "" {
		return errors.New("it brings a certificate of its own; a plugin must use the one that it is given")
	}
	return nil
}
