package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// announce listens at an address and claims it in a handshake.
func announce(address string) {
	if _, err := net.Listen("unix", address); err != nil {
		complain(err)
	}
	fmt.Println("1|1|unix|" + address + "|grpc|")
}

// leave ends as soon as it has said where it listens.
func leave() {
	announce(os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/s")
	os.Exit(0)
}

// linked claims a link, in the right folder, to a socket elsewhere.
func linked() {
	socket := filepath.Join(os.Getenv("HOME"), "s")
	if _, err := net.Listen("unix", socket); err != nil {
		complain(err)
	}
	link := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "link")
	if err := os.Symlink(socket, link); err != nil {
		complain(err)
	}
	fmt.Println("1|1|unix|" + link + "|grpc|")
}

func complain(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
