"""Run a plugin inside a test, with a small host in memory.

::

    from datasette_secrets_plugin.testing import run

    def test_weather():
        with run(Weather(), secrets={"WEATHER_KEY": "k"}) as host:
            host.wait()
            assert [use.name for use in host.uses] == ["WEATHER_KEY"]

The plugin talks to that host through the same services, messages and errors as
to a real one; only the process boundary and its TLS are missing. The host keeps
the real one's rules: a plugin gets what it declared and nothing else, and what
is declared may have no value.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets as _random
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc

from ._answers import check_known, check_links, check_result, check_sender
from ._context import Actor, encode_actor, read_actor
from ._declaration import Secret
from ._errors import SecretsError
from ._fake import FakeHost, Use
from ._hooks import MenuLink, TestResult
from ._pb import host_pb2_grpc, plugin_pb2, plugin_pb2_grpc
from ._plugin import Plugin
from ._services import register
from ._session import Session
from ._signed import HEADER, write_header
from ._status import received

__all__ = ["PLUGIN_NAME", "Host", "Response", "Use", "run"]

PLUGIN_NAME = "plugintest"  # under which the plugin runs

_PATIENCE = 10.0  # seconds that a plugin may take for what it is asked
_THREADS = 32


@contextlib.contextmanager
def run(
    plugin: Plugin,
    *,
    secrets: Mapping[str, str] | None = None,
    config: Any = None,
    failing: SecretsError | None = None,
    max_age: int = 0,
) -> Iterator[Host]:
    """Start plugin as a host does, and stop it at the end of the with statement.

    The host asks for the declarations and then calls start, if there is one. It
    is an AssertionError when the plugin refuses, declares something that a host
    would not accept, or does not stop.

    secrets are the values that are set at the beginning; a name that the plugin
    does not declare stays out of its reach. config is its block of the host's
    configuration. failing makes every call to the host fail from the start, as
    Host.fail does. max_age is how many seconds the plugin may keep a value.
    """
    with contextlib.ExitStack() as stack:
        # The paths of sockets must be short.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugin"))
        log = stack.enter_context(open(os.path.join(folder, "log"), "w+b", buffering=0))
        fake = FakeHost(secrets or {}, config, max_age)
        fake.failure = failing

        def connect(address: str) -> grpc.Channel:
            return grpc.insecure_channel(f"unix:{address}")

        def serve(name: str, add: Callable[[grpc.Server], None]) -> str:
            server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
            add(server)
            address = os.path.join(folder, name)
            server.add_insecure_port(f"unix:{address}")
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            return address

        def add_fake(server: grpc.Server) -> None:
            host_pb2_grpc.add_SecretsServicer_to_server(fake, server)
            host_pb2_grpc.add_ConfigurationServicer_to_server(fake, server)

        address = serve("host", add_fake)
        stack.callback(fake.end_watches)
        session = Session(plugin, connect, log.fileno(), lambda: None)
        channel = stack.enter_context(connect(serve("plugin", lambda server: register(session, server))))
        host = Host(session, fake, channel, folder)
        try:
            host._launch(address)
            yield host
        finally:
            stopped = session.stop(_PATIENCE)
        if not stopped:
            raise AssertionError("the plugin does not stop")


@dataclass(frozen=True)
class Response:
    """What the plugin's own pages answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()


class Host:
    """The host of one plugin in a test. Its methods may be called while the plugin runs."""

    def __init__(self, session: Session, fake: FakeHost, channel: grpc.Channel, folder: str) -> None:
        self._session = session
        self._fake = fake
        self._channel = channel
        self._folder = folder
        self._offered: list[str] = []
        self._key = b""  # of the plugin's pages, once they were asked for

    @property
    def declared(self) -> list[Secret]:
        """What the plugin declared, in its order."""
        with self._fake.lock:
            return list(self._fake.declared.values())

    @property
    def uses(self) -> list[Use]:
        """Every use of a secret so far."""
        with self._fake.lock:
            return list(self._fake.uses)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What the plugin logged so far, by field: "@level", "@message" and its own."""
        with open(os.path.join(self._folder, "log"), "rb") as lines:
            return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def set(self, name: str, value: str) -> None:
        """Give a secret a value, as an administrator does, and tell watches."""
        self._fake.set(name, value)

    def unset(self, name: str) -> None:
        """Take a secret's value away, and tell watches."""
        self._fake.unset(name)

    def deny(self, name: str, actor_id: str = "") -> None:
        """Refuse a secret to an actor from now on. Watches are told to resync."""
        self._fake.deny(name, actor_id)

    def resync(self) -> None:
        """Tell the plugin's watches that changes may have been missed."""
        self._fake.resync()

    def fail(self, error: SecretsError | None) -> None:
        """Make every call to the host fail with an error of this package; None ends that.

        It also breaks every watch, which the plugin then tries to open again.
        """
        self._fake.fail(error)

    def wait(self) -> None:
        """Wait until start has returned, and raise what it raised.

        It is of use for a start that does return by itself.
        """
        if not self._session.ended.wait(_PATIENCE):
            raise AssertionError(f"start did not return within {_PATIENCE:.0f} seconds; it logged {self.log}")
        if self._session.error is not None:
            raise self._session.error

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so that the plugin does in the background."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"it is not so after {_PATIENCE:.0f} seconds; the plugin logged {self.log}")
            time.sleep(0.005)

    # The methods below call the plugin's optional methods as a host does. An
    # exception of the plugin arrives as "internal error", for that is all that
    # a host learns; the plugin's own words are in the log. An answer that a
    # host would not take is an AssertionError that says why.

    def test_secret(self, name: str, value: str) -> TestResult:
        """Try a value out with the plugin's test_secret."""
        self._offers("Validator", "test_secret")
        request = plugin_pb2.TestSecretRequest(name=name, value=value.encode("utf-8", "surrogateescape"))
        answer = self._call(plugin_pb2_grpc.ValidatorStub(self._channel).TestSecret, request, "test_secret")
        result = TestResult(answer.ok, answer.message)
        check_result(result, value)
        return result

    def menu_links(self, actor: Actor | None = None) -> list[MenuLink]:
        """Ask the plugin's menu_links."""
        self._offers("Menu", "menu_links")
        json, token = self._proof(actor)
        request = plugin_pb2.MenuLinksRequest(actor=plugin_pb2.Actor(json=json, token=token))
        answer = self._call(plugin_pb2_grpc.MenuStub(self._channel).MenuLinks, request, "menu_links")
        links = [MenuLink(link.href, link.label) for link in answer.links]
        check_links(links)
        return links

    def actors_from_ids(self, *ids: str) -> dict[str, Actor]:
        """Ask the plugin's actors_from_ids who these are."""
        self._offers("Actors", "actors_from_ids")
        request = plugin_pb2.ActorsFromIDsRequest(ids=ids)
        answer = self._call(plugin_pb2_grpc.ActorsStub(self._channel).ActorsFromIDs, request, "actors_from_ids")
        actors = {id: json.loads(actor) for id, actor in answer.actors.items()}
        for id, actor in actors.items():
            check_known(id, actor)
        return actors

    def actor_from_request(
        self, headers: Mapping[str, str] | None = None, *, method: str = "GET", path: str = "/-/secrets"
    ) -> Actor | None:
        """Ask the plugin's actor_from_request who sent a request. Names of headers are in lower case."""
        self._offers("Authenticator", "actor_from_request")
        request = plugin_pb2.ActorFromRequestRequest(method=method, path=path, headers=headers or {})
        stub = plugin_pb2_grpc.AuthenticatorStub(self._channel)
        answer = self._call(stub.ActorFromRequest, request, "actor_from_request")
        if not answer.actor_json:
            return None
        actor: Actor = json.loads(answer.actor_json)
        check_sender(actor)
        return actor

    def http(
        self,
        method: str,
        path: str,
        *,
        actor: Actor | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
    ) -> Response:
        """Send a request to the plugin's serve_http, on behalf of an actor."""
        self._offers("Http", "serve_http")
        address = os.path.join(self._folder, "http")
        if not self._key:
            key = _random.token_bytes(32)
            request = plugin_pb2.ListenRequest(address=address, key=key, prefix=f"/-/plugins/{PLUGIN_NAME}")
            self._call(plugin_pb2_grpc.HttpStub(self._channel).Listen, request, "serve_http")
            self._key = key
        _, token = self._proof(actor)
        signed = write_header(self._key, actor, token, method, path, time.time() + 60)
        connection = http.client.HTTPConnection("localhost", timeout=_PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        with contextlib.closing(connection):
            connection.sock.settimeout(_PATIENCE)
            connection.sock.connect(address)
            connection.request(method, path, body, {**(headers or {}), HEADER: signed})
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())

    def _launch(self, address: str) -> None:
        """Do what a host does with a plugin that has just connected."""
        lifecycle = plugin_pb2_grpc.LifecycleStub(self._channel)
        described = self._call(
            lifecycle.Init,
            plugin_pb2.InitRequest(host_version=PLUGIN_NAME, plugin_name=PLUGIN_NAME, host_address=address),
            "the plugin",
        )
        self._offered = [service.rpartition(".")[2] for service in described.services]
        stub = plugin_pb2_grpc.DeclarationsStub(self._channel)
        answer = self._call(stub.RegisterSecrets, plugin_pb2.RegisterSecretsRequest(), "register_secrets")
        self._fake.declare(list(answer.secrets))
        if "Starter" in self._offered:
            self._call(plugin_pb2_grpc.StarterStub(self._channel).Start, plugin_pb2.StartRequest(), "start")

    def _call(self, method: Any, request: Any, name: str) -> Any:
        try:
            return method(request, timeout=_PATIENCE)
        except grpc.RpcError as error:
            raise AssertionError(f"{received(name, error)}; the plugin logged {self.log}") from None

    def _offers(self, service: str, method: str) -> None:
        if service not in self._offered:
            raise AssertionError(f"the plugin has no method {method}")

    def _proof(self, actor: Actor | None) -> tuple[bytes, str]:
        json = encode_actor(actor)
        return json, self._fake.token(read_actor(json, "").actor_id) if json else ""
