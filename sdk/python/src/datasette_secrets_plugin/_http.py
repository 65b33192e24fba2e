"""The plugin's own pages: a WSGI application on a unix socket, for the host alone."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import selectors
import socket
import sys
import threading
import time
import urllib.parse
import wsgiref.handlers
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from ._context import Hosts, SignedIn, called
from ._errors import Invalid
from ._signed import HEADER, read_header

ACTOR_KEY = "datasette_secrets.actor"  # in the environ: the actor, or None

_THREADS = 32  # requests at the same time
_PATIENCE = 30.0  # seconds for the host to send or take a part of a message
_MIN_KEY = 16  # bytes
_MAX_UNREAD = 1 << 20  # bytes of a body that are read when the application did not


class WSGIApplication(Protocol):
    """What the attribute serve_http of a plugin is."""

    def __call__(self, environ: dict[str, Any], start_response: Any, /) -> Iterable[bytes]: ...


class Listener:
    """Serves an application to whoever signs with key, in the background."""

    def __init__(
        self,
        app: WSGIApplication,
        hosts: Hosts,
        address: str,
        key: bytes,
        prefix: str,
        logger: logging.Logger,
    ) -> None:
        if len(key) < _MIN_KEY:
            raise Invalid("invalid request: the key of Listen is too short")
        self.app = app
        self.hosts = hosts
        self.key = key
        self.prefix = prefix
        self.logger = logger
        self._address = address
        self._free = threading.BoundedSemaphore(_THREADS)
        self._end, self._told = socket.socketpair()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._socket.bind(address)
        os.chmod(address, 0o600)  # before anybody can connect
        self._socket.listen(128)
        threading.Thread(target=self._serve, name="http", daemon=True).start()

    def close(self) -> None:
        """Accept no more requests. Those under way may go on."""
        with contextlib.suppress(OSError):  # its folder has gone, or it is closed
            os.unlink(self._address)
        self._end.close()

    def _serve(self) -> None:
        with self._socket, self._told, selectors.DefaultSelector() as selector:
            selector.register(self._told, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            while all(key.fileobj is not self._told for key, _ in selector.select()):
                try:
                    connection, _ = self._socket.accept()
                except OSError as error:
                    if error.errno in (errno.EMFILE, errno.ENFILE):
                        time.sleep(0.1)  # until requests under way have ended
                    continue
                self._free.acquire()  # the next ones wait in the kernel's queue
                threading.Thread(target=self._answer, args=(connection,), name="request", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                # Unix sockets have no such name, but http.server expects two parts.
                _Handler(connection, ("", 0), self)
        except OSError:
            pass  # the host has gone
        except Exception:
            self.logger.error("serving a page failed", exc_info=True)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    """One connection, which is one request: the answer ends with it."""

    timeout = _PATIENCE

    def __init__(self, connection: socket.socket, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        super().__init__(connection, address, None)  # type: ignore[arg-type] # there is no socketserver

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        sender = self._sender()
        if sender is None:
            self.send_error(403, explain="This address is for the host alone.")
            return
        if "Transfer-Encoding" in self.headers:
            self.send_error(411)
            return
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(self.headers.get_all("Content-Length", [])) > 1:
            self.send_error(400)
            return
        body = _Body(self.rfile, int(length))
        with called(self.listener.hosts, sender):
            environ, reader = self._environ(sender), io.BufferedReader(body)
            _Response(reader, self.wfile, sys.stderr, environ, self.listener.logger).run(self.listener.app)
        body.discard(_MAX_UNREAD)

    def _sender(self) -> SignedIn | None:
        headers = self.headers.get_all(HEADER, [])
        if len(headers) != 1:
            return None
        return read_header(headers[0], self.listener.key, self.command, self.path, time.time())

    def _environ(self, sender: SignedIn) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": self.listener.prefix,
            "PATH_INFO": urllib.parse.unquote(path, "iso-8859-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": self.request_version,
            ACTOR_KEY: sender.actor,
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            # A name with "_" could pass for another one with "-".
            if "_" in name or key == HEADER.upper().replace("-", "_"):
                continue
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value.strip()}" if key in environ else value.strip()
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
            environ["HTTPS"] = "on"
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        pass  # the host logs requests

    def version_string(self) -> str:
        return "datasette-secrets-plugin"


class _Response(wsgiref.handlers.SimpleHandler):
    """Runs the application for one request."""

    os_environ: dict[str, str] = {}  # the process's own is nothing to an application
    server_software = None

    def __init__(
        self, stdin: Any, stdout: Any, stderr: Any, environ: dict[str, Any], logger: logging.Logger
    ) -> None:
        super().__init__(stdin, stdout, stderr, environ, multithread=True, multiprocess=False)
        self.logger = logger

    def log_exception(self, exc_info: Any) -> None:
        self.logger.error("serving a page failed", exc_info=exc_info)


class _Body(io.RawIOBase):
    """The body of a request, which ends where the request says."""

    def __init__(self, source: io.BufferedIOBase, length: int) -> None:
        self._source = source
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read1(min(len(buffer), self._left)) if self._left else b""
        buffer[: len(data)] = data
        self._left = self._left - len(data) if data else 0
        return len(data)

    def discard(self, limit: int) -> None:
        """Read what nobody has read. Otherwise closing would tear the answer off."""
        while self._left and limit > 0:
            read = self.read(min(1 << 16, limit))
            limit -= len(read or b"")
