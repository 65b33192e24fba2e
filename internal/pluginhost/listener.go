package pluginhost

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// maxConns is how many connections one plugin may have open. One is enough; a
// restart of its gRPC channel may briefly need a second.
const maxConns = 16

// listener accepts connections from one plugin's process only.
type listener struct {
	*net.UnixListener
	proc  *process
	slots chan struct{}
	log   *slog.Logger
}

// listen opens the socket of one plugin at path.
func listen(path string, proc *process, log *slog.Logger) (*listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil, fmt.Errorf("opening the plugin's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("opening the plugin's socket: %w", err)
	}
	return &listener{UnixListener: l, proc: proc, slots: make(chan struct{}, maxConns), log: log}, nil
}

// Accept waits for the plugin to connect. Strangers are hung up on.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn, l.proc); err != nil {
			l.log.Warn("a connection to the plugin's socket is refused", "reason", err)
			_ = conn.Close()
			continue
		}
		select {
		case l.slots <- struct{}{}:
			return &counted{UnixConn: conn, slots: l.slots}, nil
		default:
			_ = conn.Close()
		}
	}
}

// counted is a connection that gives back its slot when it is closed.
type counted struct {
	*net.UnixConn
	slots chan struct{}
	once  sync.Once
}

// Close closes the connection.
func (c *counted) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.UnixConn.Close()
}
