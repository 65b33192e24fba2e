package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin/runner"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
	"github.com/datasette-secrets/datasette-secrets/internal/sandbox"
)

// killGrace is how long a process may take to end after SIGKILL.
const killGrace = 500 * time.Millisecond

var _ goplugin.Runner = (*runner)(nil)

// runner is go-plugin's view of a plugin's process. It is what keeps go-plugin
// away from the plugin's pipes, and from addresses that the plugin makes up.
type runner struct {
	name      string   // of the plugin
	home      string   // its HOME, TMPDIR and working directory
	extra     []string // variables besides the usual ones
	command   func(socketDir string, env []string) (*sandbox.Command, error)
	bootstrap pluginwire.Bootstrap
	journal   *journal
	stdout    *stdout
	pumps     sync.WaitGroup

	mu        sync.Mutex
	env       []string
	socketDir string
	address   *net.UnixAddr
	proc      *process
	aborted   bool
	started   *sandbox.Command
	known     chan struct{} // closed when it is known whether the program runs
	missing   []string      // of its sandbox; set before known is closed
	failure   error         // why it does not run; likewise
}

var errAborted = errors.New("the start was given up")

// prepare takes what go-plugin decided: the environment and the folder where
// the plugin is to listen.
func (r *runner) prepare(env []string, socketDir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socketDir = socketDir
	r.env = slices.Concat([]string{
		"PATH=" + sandbox.Path,
		"LANG=C.UTF-8",
		"HOME=" + r.home,
		"TMPDIR=" + r.home,
		"PLUGIN_CLIENT_CERT=" + r.bootstrap.HostCert, // for go-plugin's AutoMTLS
	}, r.extra, env)
}

// Start starts the process and hands it its certificates.
func (r *runner) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return errAborted
	}
	command, err := r.command(r.socketDir, r.env)
	if err != nil {
		return err
	}
	proc, err := startProcess(command.Cmd)
	if err != nil {
		command.Close()
		return err
	}
	command.Release()
	r.proc, r.started = proc, command
	r.pumps.Go(func() {
		r.missing, r.failure = command.Executed()
		close(r.known)
	})
	r.pumps.Go(func() {
		lines := r.journal.lines()
		r.stdout.read(proc, lines)
		lines.flush()
	})
	r.pumps.Go(func() {
		lines := r.journal.lines()
		_, _ = io.Copy(lines, proc.stderr)
		lines.flush()
	})
	_ = proc.stdin.SetWriteDeadline(time.Now().Add(time.Second))
	// A plugin that ended before it read the line is found out soon enough.
	_ = pluginwire.WriteBootstrap(proc.stdin, r.bootstrap)
	return nil
}

// folder is where the plugin is to listen.
func (r *runner) folder() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.socketDir
}

// unexecuted says why the started process did not become the plugin, once
// that is known.
func (r *runner) unexecuted() error {
	if r.process() == nil {
		return nil
	}
	timer := time.NewTimer(pipeGrace)
	defer timer.Stop()
	select {
	case <-r.known:
		return r.failure
	case <-timer.C:
		return nil
	}
}

// lacks names what of the sandbox of a running plugin could not be applied.
func (r *runner) lacks() []string {
	<-r.known
	return r.missing
}

// closeReport gives up what is left of the start. The process must have ended.
func (r *runner) closeReport() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started != nil {
		r.started.Close()
	}
}

// process is the running process, or nil.
func (r *runner) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc
}

// abort makes sure that no process is started any more, and returns the one
// that was.
func (r *runner) abort() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aborted = true
	return r.proc
}

// Wait waits for the end of the process.
func (r *runner) Wait(ctx context.Context) error {
	p := r.process()
	if p == nil {
		return nil
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the process and its group.
func (r *runner) Kill(ctx context.Context) error {
	p := r.abort()
	if p == nil {
		return nil
	}
	p.signal(syscall.SIGKILL)
	if !p.gone(ctx, killGrace) {
		return errors.New("the process did not end when killed")
	}
	return nil
}

// Stdout is the handshake line alone.
func (r *runner) Stdout() io.ReadCloser { return r.stdout }

// Stderr is empty: go-plugin's parser of log lines panics on some of them.
func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the name of the plugin.
func (r *runner) Name() string { return r.name }

// ID is the number of the process, and empty before there is one.
func (r *runner) ID() string {
	if p := r.process(); p != nil {
		return strconv.Itoa(p.pid)
	}
	return ""
}

// Diagnose has nothing to add.
func (r *runner) Diagnose(context.Context) string { return "" }

// PluginToHost checks the address that the plugin names.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := checkAddress(network, address, r.socketDir); err != nil {
		r.stdout.fail(err)
		return "", "", err
	}
	r.address = &net.UnixAddr{Net: "unix", Name: address}
	return network, address, nil
}

// checkAddress accepts only a socket right in the folder that was given.
func checkAddress(network, address, folder string) error {
	if network != "unix" || filepath.Clean(address) != address || filepath.Dir(address) != folder {
		return errors.New("it named an address outside its own folder")
	}
	info, err := os.Lstat(address)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return errors.New("it named an address that is not a socket")
	}
	return nil
}

// HostToPlugin changes nothing: both see the same file system.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// dial connects to the plugin and to nobody else.
func (r *runner) dial(ctx context.Context, _ string) (net.Conn, error) {
	r.mu.Lock()
	address, proc := r.address, r.proc
	r.mu.Unlock()
	if address == nil || proc == nil {
		return nil, errors.New("the plugin has no address yet")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address.Name)
	if err != nil {
		return nil, fmt.Errorf("connecting to the plugin: %w", err)
	}
	if err := checkPeer(conn.(*net.UnixConn), proc); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
