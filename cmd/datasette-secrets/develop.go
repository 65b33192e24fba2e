package main

import (
	"net"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
)

// developFlags are for people who write plugins.
type developFlags struct {
	dev     bool
	plugins []string
}

func (f *developFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.dev, "dev", false, "development mode: approve what plugins ask for, and start them anew when they change")
	flags.StringArrayVar(&f.plugins, "plugin", nil, "with --dev, run this program as a plugin; may be repeated")
	cmd.MarkFlagFilename("plugin")
}

// check allows development mode only where nobody else gets to: whoever could
// change a plugin's file would have its secrets.
func (f *developFlags) check(listen listenFlags) error {
	switch {
	case !f.dev && len(f.plugins) > 0:
		return usagef("--plugin can only be used with --dev; for good, put the program into a folder and name that with --plugins-dir")
	case f.dev && listen.uds != "":
		return usagef("--dev cannot be used with --uds: other users could connect")
	case f.dev && !isLoopback(listen.host):
		return usagef("--dev cannot be used with -h %s: other machines could connect; leave -h out", listen.host)
	}
	return nil
}

// isLoopback tells whether only this machine connects to an address.
func isLoopback(address string) bool {
	if address == "localhost" {
		return true
	}
	ip := net.ParseIP(address)
	return ip != nil && ip.IsLoopback()
}

// development is nil when the host is not for an author.
func (f *developFlags) development() *host.Development {
	if !f.dev {
		return nil
	}
	return &host.Development{Programs: f.plugins}
}
