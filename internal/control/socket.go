package control

import (
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// listener accepts connections of this user and root.
type listener struct {
	*net.UnixListener
	slots chan struct{}
}

func listen(path string) (*listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{l, make(chan struct{}, maxConns)}, nil
}

// Accept hangs up on other users, and on whoever is one too many.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUser(conn)
		if err != nil || (uid != os.Geteuid() && uid != 0) {
			_ = conn.Close()
			continue
		}
		select {
		case l.slots <- struct{}{}:
			return &peer{UnixConn: conn, uid: uid, slots: l.slots}, nil
		default:
			_ = conn.Close()
		}
	}
}

// peer is a connection of a known user, that gives back its slot in the end.
type peer struct {
	*net.UnixConn
	uid   int
	slots chan struct{}
	once  sync.Once
}

// Close closes the connection.
func (p *peer) Close() error {
	p.once.Do(func() { <-p.slots })
	return p.UnixConn.Close()
}

// peerUser is the user at the other end, as the kernel remembers it.
func peerUser(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, peerErr); err != nil {
		return 0, err
	}
	return int(peer.Uid), nil
}
