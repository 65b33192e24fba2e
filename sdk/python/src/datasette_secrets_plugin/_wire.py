"""What the plugin and its host agree on before the first call.

The names and numbers are those of internal/pluginwire.
"""

from __future__ import annotations

import json
import os

import grpc

COOKIE_KEY = "DATASETTE_SECRETS_PLUGIN"
COOKIE_VALUE = "5c1b7f0e-plugin-of-datasette-secrets"
SOCKET_DIR_KEY = "PLUGIN_UNIX_SOCKET_DIR"

CORE_VERSION = 1  # of go-plugin's own protocol
PROTOCOL_VERSION = 1  # of the services in pluginapi/proto
AUTHORITY = "localhost"  # unix sockets have no host name

MAX_MESSAGE = 4 << 20  # bytes in one message, in both directions
MAX_BOOTSTRAP = 64 << 10  # bytes in the bootstrap line, its newline included
CALL_TIMEOUT = 10.0  # seconds for one call to the host

_BOOTSTRAP_VERSION = 1


class BootstrapError(Exception):
    """The bootstrap line is wrong. It holds nothing of the line, which may be a key."""


class Bootstrap:
    """What a plugin is told on its standard input: how both ends prove who they are."""

    def __init__(self, cert: bytes, key: bytes, host_cert: bytes) -> None:
        self._cert = cert
        self._key = key
        self._host_cert = host_cert

    def server_credentials(self) -> grpc.ServerCredentials:
        """Accept calls of the host alone."""
        return grpc.ssl_server_credentials(
            [(self._key, self._cert)], root_certificates=self._host_cert, require_client_auth=True
        )

    def channel(self, address: str) -> grpc.Channel:
        """Connect to the socket that the host opened for this plugin."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self._host_cert, private_key=self._key, certificate_chain=self._cert
        )
        return grpc.secure_channel(
            f"unix:{address}",
            credentials,
            options=[
                *message_limits(),
                # Without these, gRPC would send and expect the path of the socket.
                ("grpc.default_authority", AUTHORITY),
                ("grpc.ssl_target_name_override", AUTHORITY),
                ("grpc.enable_http_proxy", 0),
            ],
        )


def message_limits() -> list[tuple[str, int]]:
    """The options of gRPC that bound a message."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
    ]


def read_bootstrap(fd: int) -> Bootstrap:
    """Read the first line of a file descriptor.

    It may read past the line: nothing follows it but the end of the input.
    """
    data = b""
    while b"\n" not in data:
        if len(data) >= MAX_BOOTSTRAP:
            raise BootstrapError("the bootstrap line is too long")
        read = os.read(fd, MAX_BOOTSTRAP - len(data))
        if not read:
            raise BootstrapError("the input ended before the bootstrap line did")
        data += read
    return _parse(data.partition(b"\n")[0])


def _parse(line: bytes) -> Bootstrap:
    try:
        fields = json.loads(line)
        version = fields["version"]
        texts = [fields.get(name, "").encode("ascii") for name in ("cert", "key", "host_cert")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BootstrapError("the bootstrap line is not the JSON that was expected") from None
    if version != _BOOTSTRAP_VERSION:
        raise BootstrapError(f"the host speaks another version of the bootstrap line than {_BOOTSTRAP_VERSION}")
    if not all(b"-----BEGIN " in text for text in texts):
        raise BootstrapError("the certificates of the bootstrap line cannot be used")
    return Bootstrap(*texts)
