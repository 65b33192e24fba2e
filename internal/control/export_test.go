package control

import (
	"io"
	"net"
)

// Parse is parse for the tests: the socket and the token of a note.
func Parse(r io.Reader) (socket, token string, err error) {
	n, err := parse(r)
	return n.Socket, n.Token, err
}

// Listen is listen for the tests.
func Listen(path string) (net.Listener, error) { return listen(path) }

// MaxConns is how many connections a host takes.
const MaxConns = maxConns
