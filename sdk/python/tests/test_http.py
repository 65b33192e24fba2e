"""The plugin's own pages, asked for as a host does and as strangers do."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import logging
import os
import socket
import stat
import threading
import time
from wsgiref.validate import validator

import grpc
import pytest

from datasette_secrets_plugin import AsyncHost, Host, current_actor, current_host
from datasette_secrets_plugin._context import Hosts, SignedIn, claim
from datasette_secrets_plugin._errors import Invalid
from datasette_secrets_plugin._host import Calls
from datasette_secrets_plugin._http import _THREADS, Listener
from datasette_secrets_plugin._signed import read_header

KEY = b"0123456789abcdef0123456789abcdef"
LOGGER = logging.getLogger("pages")
CALLS = Calls(grpc.insecure_channel("unix:/nowhere"), LOGGER)
HOSTS = Hosts(Host(CALLS, LOGGER, threading.Event()), AsyncHost(CALLS, LOGGER))
NOW = 1_700_000_000


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(payload, key=KEY):
    text = payload if isinstance(payload, str) else encode(json.dumps(payload).encode())
    return f"{text}.{encode(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def fields(method="GET", path="/", actor=None, token="", expires=None, **more):
    expires = time.time() + 60 if expires is None else expires
    return {"actor": actor, "token": token, "method": method, "path": path, "expires": expires, **more}


class Connection(http.client.HTTPConnection):
    def __init__(self, address):
        super().__init__("localhost", timeout=20)
        self.address = address

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.address)


@pytest.fixture
def listening(tmp_path_factory):
    """Serves an application, and gives a function that asks it."""
    with contextlib.ExitStack() as stack:

        def serve(app):
            address = f"{tmp_path_factory.mktemp('s')}/h"
            listener = Listener(app, HOSTS, address, KEY, "/-/plugins/weather", LOGGER)
            stack.callback(listener.close)

            def ask(method="GET", path="/", headers=None, body=None, **signed):
                connection = stack.enter_context(contextlib.closing(Connection(address)))
                header = {"Datasette-Secrets-Actor": sign(fields(method, path, **signed))}
                connection.request(method, path, body, {**header, **(headers or {})})
                response = connection.getresponse()
                return response.status, response.read().decode("latin-1"), response

            ask.address = address
            return ask

        yield serve


def mirror(environ, start_response):
    """Answers with what it was asked."""
    assert current_host() is HOSTS.plain
    assert current_actor() == environ["datasette_secrets.actor"]
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, (str, dict, type(None)))}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({**seen, "body": body.decode("latin-1"), "claim": claim(None)}).encode()]


def test_a_page(listening):
    ask = listening(mirror)
    assert stat.S_IMODE(os.stat(ask.address).st_mode) == 0o600
    status, text, response = ask(
        "POST",
        "/caf%C3%A9/?a=1&b=%20",
        {
            "X-One": "1",
            "X_Two": "2",
            "Datasette_Secrets_Actor": "x",
            "Content-Type": "text/plain",
            "X-Forwarded-Proto": "https",
        },
        b"a body",
        actor={"id": "ann"},
        token="proof",
    )
    seen = json.loads(text)
    assert status == 200 and response.version == 10
    assert seen["PATH_INFO"] == "/cafÃ©/"  # the bytes of UTF-8, as WSGI has them
    assert seen["SCRIPT_NAME"] == "/-/plugins/weather"
    assert seen["QUERY_STRING"] == "a=1&b=%20"
    assert seen["REQUEST_METHOD"] == "POST"
    assert seen["body"] == "a body"
    assert seen["CONTENT_TYPE"] == "text/plain" and seen["CONTENT_LENGTH"] == "6"
    assert seen["HTTP_X_ONE"] == "1" and "HTTP_X_TWO" not in seen
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["datasette_secrets.actor"] == {"id": "ann"}
    assert seen["claim"] == {"actor_id": "ann", "actor_token": "proof"}
    assert "proof" not in text.replace(json.dumps(seen["claim"]), "")  # only the SDK has it
    assert not [key for key in seen if "DATASETTE_SECRETS" in key or key in os.environ]


def test_nobody(listening):
    seen = json.loads(listening(mirror)()[1])
    assert seen["datasette_secrets.actor"] is None
    assert seen["claim"] == {"actor_id": "", "actor_token": ""}


def test_the_application_follows_the_standard_and_so_do_we(listening):
    def app(environ, start_response):
        assert environ["wsgi.input"].read(3) == b"abc"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"read"]

    assert listening(validator(app))("POST", "/?x", body=b"abcdef")[:2] == (200, "read")


def test_many_parts_are_sent_as_they_come(listening):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for part in range(3):
            yield f"{part} {claim(None)['actor_id']}\n".encode()

    assert listening(app)(actor={"id": "ann"}, token="proof")[1] == "0 ann\n1 ann\n2 ann\n"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ".",
        "x",
        sign(fields(), b"another key of thirty-two bytes!"),
        sign(fields()).replace(".", ".."),
        sign(fields()) + "=",
        sign(fields())[:-1],
        sign(fields(expires=0)),
        sign(fields(method="POST")),
        sign(fields(path="/other")),
        sign(fields(path="/?")),
        sign(fields(), b""),
        f"{sign(fields())}, {sign(fields())}",
        "é" + sign(fields()),
    ],
)
def test_strangers_are_refused(listening, header):
    def app(environ, start_response):
        raise AssertionError("a stranger was let in")

    ask = listening(app)
    with contextlib.closing(Connection(ask.address)) as connection:
        connection.putrequest("GET", "/")
        if header is not None:
            connection.putheader("Datasette-Secrets-Actor", header.encode("latin-1"))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 403
        assert b"stranger" not in response.read()


def test_two_headers_are_refused(listening):
    ask = listening(mirror)
    with contextlib.closing(Connection(ask.address)) as connection:
        connection.putrequest("GET", "/")
        for _ in range(2):
            connection.putheader("Datasette-Secrets-Actor", sign(fields()))
        connection.endheaders()
        assert connection.getresponse().status == 403


def test_what_the_header_says():
    def read(payload, now=NOW):
        return read_header(sign(payload), KEY, "GET", "/", now)

    good = fields(expires=NOW, actor={"id": "ann"}, token="t", future=1)
    assert read(good) == SignedIn({"id": "ann"}, "ann", "t")
    assert read(good, NOW + 1) is None
    assert read(fields(expires=NOW, actor={})) == SignedIn()
    for wrong in (
        *({key: value for key, value in good.items() if key != missing} for missing in fields()),
        {**good, "expires": str(NOW)},
        {**good, "expires": True},
        {**good, "expires": None},
        {**good, "expires": float("nan")},
        {**good, "actor": "ann"},
        {**good, "token": None},
        {**good, "method": "get"},
        [],
        None,
        "hunter2",
        "",
        encode(b"\xff"),
        encode(b"[" * 100_000),
        "*",
    ):
        assert read(wrong) is None


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "x"}, 400),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "1_0"}, 400),
        ({"Content-Length": "²"}, 400),
    ],
)
def test_bodies_without_a_length_are_refused(listening, headers, want):
    ask = listening(mirror)
    with contextlib.closing(Connection(ask.address)) as connection:
        connection.putrequest("POST", "/")
        connection.putheader("Datasette-Secrets-Actor", sign(fields("POST")))
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        assert connection.getresponse().status == want


def test_what_nobody_reads_does_not_hurt(listening):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"enough"]

    assert listening(app)("POST", body=b"x" * 500_000)[:2] == (200, "enough")


def test_failures_are_in_the_log(listening, caplog):
    def app(environ, start_response):
        raise ValueError("no weather")

    status, text, _ = listening(app)()
    assert status == 500 and "weather" not in text
    assert "no weather" in str(caplog.records[-1].exc_info)


def test_no_more_than_so_many_at_once(listening):
    inside, leave = threading.Semaphore(0), threading.Event()
    most, now, lock = 0, 0, threading.Lock()

    def app(environ, start_response):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        inside.release()
        leave.wait(20)
        with lock:
            now -= 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    ask = listening(app)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask()[0])) for _ in range(_THREADS + 8)]
    for thread in threads:
        thread.start()
    for _ in range(_THREADS):
        assert inside.acquire(timeout=20)
    leave.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(threads)  # the others waited
    assert most == _THREADS


def test_the_socket_goes(tmp_path):
    address = f"{tmp_path}/h"
    listener = Listener(mirror, HOSTS, address, KEY, "/p", LOGGER)
    assert os.path.exists(address)
    listener.close()
    assert not os.path.exists(address)


def test_short_keys_are_refused(tmp_path):
    with pytest.raises(Invalid):
        Listener(mirror, HOSTS, f"{tmp_path}/h", b"", "/p", LOGGER)
