"""A small host for the tests, which answers as the real one does."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

os.environ["DATASETTE_LOAD_PLUGINS"] = ""  # none but those of the tests
TOKEN = "dssc_" + "t" * 49
STATUS = {
    "invalid_token": 401,
    "denied": 403,
    "not_approved": 403,
    "not_declared": 403,
    "not_set": 404,
    "rate_limited": 429,
    "locked_out": 429,
    "internal": 500,
    "integrity": 500,
    "sealed": 503,
    "unavailable": 503,
}


class FakeHost:
    """values are granted and set; refusals have a code for a name; requests is what it was asked."""

    def __init__(self, path=None):
        self.values, self.refusals, self.requests, self.declared = {}, {}, [], None
        self.everything = None  # a code for every request
        self.hold = None  # an event to wait for before answering
        self._path, self._port = path, 0
        self.server = None
        self.start()

    def start(self):
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = False

            def handle_any(self):
                host.answer(self)

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def log_message(self, *_):
                pass

            def address_string(self):
                return "client"

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128
            address_family = socket.AF_UNIX if self._path else socket.AF_INET

            def get_request(self):
                request, address = super().get_request()
                host.connections.append(request)
                return request, address or ("", 0)

            def handle_error(self, *_):
                pass

        self.connections = []
        self.server = Server(self._path or ("127.0.0.1", self._port), Handler)
        if not self._path:
            self._port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return self._path or f"http://127.0.0.1:{self._port}"

    def stop(self):
        """End as if killed."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.server = None
            if self._path:
                os.unlink(self._path)

    def answer(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        parts = urlsplit(request.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.requests.append((request.command, parts.path, query, dict(request.headers), body))
        if self.hold:
            self.hold.wait()
        status, answer, headers = self.decide(request, parts.path, body)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        request.send_response(status)
        for name, value in [("Content-Length", str(len(text))), *headers]:
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(text)

    def decide(self, request, path, body):
        if not path.startswith("/-/api/v1/"):
            return self.page(request, path)
        if request.headers.get("Authorization") != "Bearer " + TOKEN:
            return refusal("invalid_token")
        if self.everything:
            return refusal(self.everything)
        path = path.removeprefix("/-/api/v1")
        if path == "/declarations":
            given = json.loads(body)["declarations"]
            self.declared = given if request.command == "PUT" else [*(self.declared or []), *given]
            return 200, {"declarations": []}, []
        if path == "/secrets":
            found = [
                {"name": name, "state": "granted", "declared": False, "set": True, "source": "database", "version": 1}
                for name in sorted(self.values)
            ]
            found += [
                {"name": name, "state": "pending", "declared": True, "set": False, "source": None, "version": None}
                for name in sorted(self.refusals)
            ]
            return 200, {"secrets": found}, []
        name = unquote(path.removeprefix("/secrets/"))
        if name in self.refusals:
            return refusal(self.refusals[name])
        if name not in self.values:
            return refusal("not_set")
        return 200, {"name": name, "value": self.values[name], "version": 1, "source": "database"}, []

    def page(self, request, path):
        if path == "/-/secrets/GONE":
            return 302, b"", [("Location", "/-/secrets"), ("Set-Cookie", "ds_messages=x; Path=/"), ("X-Other", "no")]
        return 200, b"page of " + path.encode(), [("Content-Type", "text/html"), ("Server-Timing", "x")]


def refusal(code):
    status = STATUS[code]
    headers = [("Retry-After", "0")] if code in ("unavailable", "rate_limited") else []
    return status, {"ok": False, "code": code, "error": f"says {code}", "status": status, "request_id": "1"}, headers


@pytest.fixture
def host():
    fake = FakeHost()
    yield fake
    fake.stop()


@pytest.fixture
def socket_host(tmp_path):
    fake = FakeHost(str(tmp_path / "api.sock"))
    yield fake
    fake.stop()


@pytest.fixture
def impatient(monkeypatch):
    """Ask each question once, so that a host that is down is noticed at once and a slow one never is."""
    from datasette_secrets import _http

    def pause(self, problem, response=None):
        raise problem

    monkeypatch.setattr(_http.Patience, "pause", pause)
