package plugincheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

const (
	handshakeTime = 5 * time.Second // from the start to the handshake line
	endTime       = 3 * time.Second // to end after being asked to
	maxHandshake  = 4 << 10         // bytes of the handshake line
)

// launch is one run of the program, from its certificates to its last file.
type launch struct {
	kit      *kit
	dir      string // its private folder; everything below is in it
	sockets  string // the folder in which it is to listen
	identity pluginwire.Identity
	bare     bool // it brings a certificate of its own, as go-plugin's AutoMTLS does
	process  *process
	first    chan firstLineRead // the first line of its standard output; one value
	address  string             // of its socket; empty until it is connected
	host     *fakeHost          // nil until it is connected
	conn     *grpc.ClientConn   // likewise
	services []string           // that it offers; known after Init
}

// firstLineRead is the first line of standard output with its end, or why there
// is none.
type firstLineRead struct {
	line string
	err  error
}

// begin starts the program. Unless a cookie is to be left out, its environment
// is that of a host's plugin.
func (k *kit) begin(cookie bool) (*launch, error) {
	identity, err := pluginwire.NewIdentity()
	if err != nil {
		return nil, err
	}
	k.launches++
	l := &launch{kit: k, identity: identity, dir: filepath.Join(k.dir, "p"+strconv.Itoa(k.launches)), first: make(chan firstLineRead, 1)}
	l.sockets = filepath.Join(l.dir, "s")
	home := filepath.Join(l.dir, "home")
	for _, folder := range []string{l.dir, l.sockets, home} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, fmt.Errorf("making a folder for the program: %w", err)
		}
	}
	policy := k.policy()
	policy.Write, policy.Connect = []string{home, l.sockets}, []string{l.dir}
	command, err := k.cfg.Entry.Command(k.program, policy, k.cfg.Args, environment(home, l.sockets, identity, cookie), home)
	if err != nil {
		return nil, err
	}
	command.Patience = k.limit(handshakeTime)
	output := io.MultiWriter(k.log, &searcher{canaries: k.canaries, place: "standard error"})
	read := l.readOutput
	if !cookie {
		read = l.ignoreOutput
	}
	l.process, err = startProcess(command, read, output)
	if err != nil {
		return nil, fmt.Errorf("it could not be executed: %w", bare(err))
	}
	_ = l.process.stdin.SetWriteDeadline(time.Now().Add(time.Second))
	// A program that ended before it read the line is found out soon enough.
	_ = pluginwire.WriteBootstrap(l.process.stdin, identity.Bootstrap())
	return l, nil
}

// environment is what a host gives to a plugin, by itself and by go-plugin.
func environment(home, sockets string, identity pluginwire.Identity, cookie bool) []string {
	variables := []string{
		"PATH=" + sandbox.Path,
		"LANG=C.UTF-8",
		"HOME=" + home,
		"TMPDIR=" + home,
		"PLUGIN_CLIENT_CERT=" + identity.Bootstrap().HostCert,
		"GOMEMLIMIT=" + strconv.Itoa(memory),
		"NODE_OPTIONS=--max-old-space-size=" + strconv.Itoa(memory>>20),
	}
	if !cookie {
		return variables
	}
	return slices.Concat(variables, []string{
		pluginwire.CookieKey + "=" + pluginwire.CookieValue,
		"PLUGIN_MIN_PORT=10000",
		"PLUGIN_MAX_PORT=25000",
		"PLUGIN_PROTOCOL_VERSIONS=" + strconv.Itoa(pluginwire.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR=" + sockets,
	})
}

// readOutput takes the first line of standard output, and keeps the start of
// whatever follows.
func (l *launch) readOutput(stdout io.Reader) {
	r := bufio.NewReaderSize(stdout, maxHandshake)
	line, err := r.ReadSlice('\n')
	l.first <- firstLineRead{string(line), err}
	rest := io.MultiWriter(l.kit.printed, &searcher{canaries: l.kit.canaries, place: "standard output"})
	_, _ = io.Copy(rest, r) // ends with the pipe, or by endOutput
}

// ignoreOutput is for a program that is not asked for a handshake.
func (l *launch) ignoreOutput(stdout io.Reader) { _, _ = io.Copy(io.Discard, stdout) }

// handshake waits for the handshake line and returns its fields.
func (l *launch) handshake(ctx context.Context) ([]string, error) {
	patience := l.kit.limit(handshakeTime)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var read firstLineRead
	select {
	case read = <-l.first:
	case <-timer.C:
		return nil, problem{fmt.Sprintf("it did not print a handshake line within %s", patience),
			"print it as soon as the gRPC server listens, and flush standard output; do slow work in Start" + l.kit.readingHint()}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch {
	case errors.Is(read.err, bufio.ErrBufferFull):
		return nil, problem{fmt.Sprintf("the first line of its standard output is longer than %d bytes", maxHandshake),
			"print the handshake line and nothing else to standard output"}
	case read.err != nil:
		return nil, l.endedEarly(read.line)
	}
	return fields(read.line)
}

// endedEarly says why there is no handshake line.
func (l *launch) endedEarly(begun string) error {
	if begun != "" {
		return problem{fmt.Sprintf("its standard output ended within the first line %q", clean(begun, maxSample)), "end the handshake line with a newline"}
	}
	if !l.process.gone(context.Background(), pipeGrace) {
		return problem{"it closed its standard output before the handshake", "print the handshake line to standard output and keep that open"}
	}
	select {
	case err := <-l.process.report:
		if err != nil {
			return problem{err.Error(), "a host cannot start it either"}
		}
	default:
	}
	return problem{fmt.Sprintf("it ended before the handshake (%s)", l.process.exit()),
		"see what it logged; in its sandbox it can read the system's libraries and nothing else" + l.kit.readingHint()}
}

// fields splits a handshake line: CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|…
func fields(line string) ([]string, error) {
	const form = "the first line must be 1|1|unix|ADDRESS|grpc| and nothing else may be printed before it"
	line = strings.TrimSuffix(line, "\n")
	parts := strings.Split(line, "|")
	shown := clean(line, maxSample)
	switch {
	case len(parts) < 5:
		return nil, problem{fmt.Sprintf("the first line of its standard output is no handshake: %q", shown), form}
	case strings.TrimSpace(line) != line:
		return nil, problem{fmt.Sprintf("there is white space around the handshake: %q", shown), form}
	case parts[0] != "1":
		return nil, problem{fmt.Sprintf("it speaks version %q of go-plugin's protocol", clean(parts[0], maxSample)), "the first field of the handshake must be 1"}
	case parts[1] != strconv.Itoa(pluginwire.ProtocolVersion):
		return nil, problem{fmt.Sprintf("it speaks version %q of the plugin protocol", clean(parts[1], maxSample)),
			fmt.Sprintf("the second field of the handshake must be %d", pluginwire.ProtocolVersion)}
	case parts[4] != "grpc":
		return nil, problem{fmt.Sprintf("it speaks %q instead of gRPC", clean(parts[4], maxSample)), "the fifth field of the handshake must be grpc"}
	}
	return parts, nil
}

// close ends the program, whatever it does, and removes its folder.
func (l *launch) close() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
	l.process.end()
	if l.host != nil {
		l.host.stop()
	}
	_ = rundir.RemoveAll(l.dir) // what is left goes with the kit's own folder
}

// problem is what is wrong with the program, and what to do about it.
type problem struct{ wrong, fix string }

// Error is both in one sentence.
func (p problem) Error() string { return p.wrong + ": " + p.fix }
