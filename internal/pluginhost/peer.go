package pluginhost

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

var errStranger = errors.New("the other end of the socket is not the plugin")

// checkPeer tells whether the other end of conn is p. The kernel remembers
// who connected or listened; a plugin can neither choose nor change it.
func checkPeer(conn *net.UnixConn, p *process) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, peerErr); err != nil {
		return fmt.Errorf("asking who is at the other end: %w", err)
	}
	if int(peer.Uid) != os.Geteuid() || !p.has(int(peer.Pid)) {
		return errStranger
	}
	return nil
}
