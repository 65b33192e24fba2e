// Package pluginwire holds what both ends of the connection between the host
// and a plugin must agree on: how they recognise each other, what certificates
// they use, how large a message may be, and how an error crosses.
//
// # A plugin's start
//
// The host makes an [Identity] for one launch: two fresh certificates, one for
// itself and one for the plugin. It starts the process and writes one line of
// JSON, the [Bootstrap], to the process's standard input:
//
//	{"version":1,"cert":"PEM…","key":"PEM…","host_cert":"PEM…"}
//
// Standard input then stays open for as long as the host lives; its end tells
// the plugin to stop. The plugin answers on standard output with the handshake
// line of hashicorp/go-plugin, and from then on everything is gRPC over unix
// sockets, with TLS 1.3 in both directions: the host calls the plugin's socket,
// the plugin calls the socket that the host opened for it alone. Each side
// trusts exactly the other's certificate.
//
// # Errors
//
// An error crosses as a gRPC code and a google.rpc.ErrorInfo that names one of
// the classes of the root package. [ToStatus] and [FromStatus] hold the only
// table of them. The cause of an error never crosses.
package pluginwire

import (
	"time"

	plugin "github.com/hashicorp/go-plugin"
)

// ProtocolVersion is the version of the services in pluginapi/proto. It grows
// only when a plugin built for the former version can no longer be served;
// services and fields that are added do not change it.
const ProtocolVersion = 1

// ProtocolMinor counts what was added to ProtocolVersion since its beginning.
// With 1 came GetSecrets, Watch, proofs of actors, the optional services of
// plugins and the names of the host's.
const ProtocolMinor = 1

// CookieKey is the environment variable by which a plugin notices that a host
// started it, and CookieValue what it must hold. It guards against starting a
// plugin by hand, and is no secret.
const (
	CookieKey   = "DATASETTE_SECRETS_PLUGIN"
	CookieValue = "5c1b7f0e-plugin-of-datasette-secrets"
)

// SetName is the name of the one entry in go-plugin's set of plugins.
const SetName = "secrets"

// Limits of the connection. A value may be 1 MiB, so that a message of 4 MiB
// leaves room for everything around it. The window is fixed: to find one by itself,
// gRPC sends a ping with every small message.
const (
	HostMaxReceive   = 4 << 20          // bytes in one message to the host
	PluginMaxReceive = 4 << 20          // bytes in one message to a plugin
	Window           = 1 << 20          // bytes under way on a connection, or for one call, that the receiver has not taken
	MaxBootstrap     = 64 << 10         // bytes in the bootstrap line, its newline included
	CallTimeout      = 5 * time.Second  // the host's patience for one call to a plugin
	HostCallTimeout  = 10 * time.Second // a plugin's patience for one call to the host
)

// Authority is the gRPC authority and TLS server name of both directions. Unix
// sockets have no host name, and some gRPC libraries would send the path.
const Authority = "localhost"

// Handshake is go-plugin's configuration of both ends.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   CookieKey,
		MagicCookieValue: CookieValue,
	}
}
