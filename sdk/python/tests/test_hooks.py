"""The optional methods of a plugin, called as a host calls them."""

import asyncio
import contextlib
import json
import logging
import os
import threading
from concurrent import futures

import grpc
import pytest

from datasette_secrets_plugin import (
    AsyncHost,
    Host,
    MenuLink,
    NotSet,
    RequestMeta,
    Secret,
    TestResult,
    _errors,
    _status,
    current_actor,
    current_async_host,
    current_host,
)
from datasette_secrets_plugin._context import Claim, SignedIn, called, claim, read_actor
from datasette_secrets_plugin._host import Calls
from datasette_secrets_plugin._pb import host_pb2, host_pb2_grpc, plugin_pb2, plugin_pb2_grpc
from datasette_secrets_plugin._services import register
from datasette_secrets_plugin._session import Session


class Declares:
    def register_secrets(self):
        return [Secret("KEY")]


class Everything(Declares):
    def __init__(self):
        self.seen = []

    def start(self, host):
        self.host = host

    def test_secret(self, name, value):
        assert isinstance(current_host(), Host) and current_actor() is None
        if value.reveal() == "slow":
            raise ValueError(f"no such key: {value}")
        return TestResult(value.reveal() == "good\udcff", f"{name} is {value}")

    def menu_links(self, actor):
        assert current_actor() == actor
        self.seen.append((actor, claim(None)))
        return [MenuLink("/-/plugins/weather/", "Weather")] if actor else []

    def actors_from_ids(self, ids):
        return {"1": {"id": "1", "name": "Ann"}, "2": None} if "1" in ids else {}

    def actor_from_request(self, request):
        assert isinstance(request, RequestMeta)
        if request.headers.get("x-user") == "ann":
            return {"id": "ann", "via": f"{request.method} {request.path}"}
        return None

    serve_http = None  # not callable, and so not offered


class Async(Declares):
    async def test_secret(self, name, value):
        await asyncio.sleep(3600 if value.reveal() == "slow" else 0)
        return TestResult(True)

    async def menu_links(self, actor):
        await asyncio.sleep(0)
        assert isinstance(current_async_host(), AsyncHost) and current_actor() == actor
        return [MenuLink("/", str(claim(None)["actor_id"]))]

    async def actors_from_ids(self, ids):
        return {id: {"id": id} for id in ids}

    async def actor_from_request(self, request):
        raise NotSet("hunter2")


class Wrong(Declares):
    def test_secret(self, name, value):
        return True

    def menu_links(self, actor):
        return ["/"]

    def actors_from_ids(self, ids):
        return {"1": "Ann"}

    def actor_from_request(self, request):
        return "ann"


@pytest.fixture
def hosted(tmp_path_factory):
    """Serves plugins, and gives a channel to each and what it logged."""
    with contextlib.ExitStack() as stack:

        def serve(plugin):
            read, write = os.pipe()
            stack.callback(os.close, read)
            stack.callback(os.close, write)
            session = Session(plugin, lambda address: grpc.insecure_channel(f"unix:{address}"), write, print)
            stack.callback(session.stop, 5)
            server = grpc.server(futures.ThreadPoolExecutor(4))
            register(session, server)
            address = f"unix:{tmp_path_factory.mktemp('s')}/s"
            server.add_insecure_port(address)
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            channel = stack.enter_context(grpc.insecure_channel(address))
            services = init(channel)
            names = [service.removeprefix("secrets.plugin.v1.") for service in services]
            return channel, lambda: os.read(read, 1 << 16).decode(), names

        yield serve


def links(channel, actor=None, token=""):
    sent = plugin_pb2.Actor(json=json.dumps(actor).encode() if actor else b"", token=token)
    response = plugin_pb2_grpc.MenuStub(channel).MenuLinks(plugin_pb2.MenuLinksRequest(actor=sent), timeout=20)
    return [(link.href, link.label) for link in response.links]


def init(channel):
    request = plugin_pb2.InitRequest(plugin_name="w", host_address="/none")
    return plugin_pb2_grpc.LifecycleStub(channel).Init(request).services


def test_result(channel, value, timeout=20):
    request = plugin_pb2.TestSecretRequest(name="KEY", value=value)
    return plugin_pb2_grpc.ValidatorStub(channel).TestSecret(request, timeout=timeout)


test_result.__test__ = False


def from_ids(channel, *ids):
    request = plugin_pb2.ActorsFromIDsRequest(ids=ids)
    return dict(plugin_pb2_grpc.ActorsStub(channel).ActorsFromIDs(request, timeout=20).actors)


def from_request(channel, **headers):
    request = plugin_pb2.ActorFromRequestRequest(
        method="GET", path="/-/x", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return plugin_pb2_grpc.AuthenticatorStub(channel).ActorFromRequest(request, timeout=20).actor_json


def code_of(call, *arguments, **keywords):
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments, **keywords)
    assert "hunter2" not in str(raised.value)
    return raised.value.code()


def test_only_what_is_there_is_offered(hosted):
    channel, _, offered = hosted(Declares())
    assert offered == ["Lifecycle", "Declarations"]
    for call in (lambda c: test_result(c, b""), links, from_ids, from_request):
        assert code_of(call, channel) == grpc.StatusCode.UNIMPLEMENTED
    channel, _, offered = hosted(Everything())
    assert offered == ["Lifecycle", "Declarations", "Starter", "Validator", "Menu", "Actors", "Authenticator"]


def test_everything(hosted):
    plugin = Everything()
    channel, log, _ = hosted(plugin)
    assert test_result(channel, b"good\xff").ok
    result = test_result(channel, b"bad")
    assert not result.ok and result.message == "KEY is [redacted]"
    assert links(channel) == []
    assert links(channel, {"id": 7}, "proof") == [("/-/plugins/weather/", "Weather")]
    assert plugin.seen == [
        (None, {"actor_id": "", "actor_token": ""}),
        ({"id": 7}, {"actor_id": "7", "actor_token": "proof"}),
    ]
    assert from_ids(channel, "1", "2") == {"1": b'{"id": "1", "name": "Ann"}'}
    assert from_ids(channel) == {}
    assert from_request(channel) == b""
    assert json.loads(from_request(channel, x_user="ann")) == {"id": "ann", "via": "GET /-/x"}
    assert code_of(test_result, channel, b"slow") == grpc.StatusCode.INTERNAL
    assert "ValueError: no such key: [redacted]" in log()


def test_async_hooks(hosted):
    channel, log, _ = hosted(Async())
    assert test_result(channel, b"x").ok
    assert code_of(test_result, channel, b"slow", timeout=0.2) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "TimeoutError" in log()  # the method was cancelled
    assert links(channel, {"id": "ann"}, "proof") == [("/", "ann")]
    assert from_ids(channel, "a", "b") == {"a": b'{"id": "a"}', "b": b'{"id": "b"}'}
    assert code_of(from_request, channel) == grpc.StatusCode.NOT_FOUND


def test_wrong_types_are_refused(hosted):
    channel, _, _ = hosted(Wrong())
    for call in (lambda c: test_result(c, b""), links, lambda c: from_ids(c, "1"), from_request):
        assert code_of(call, channel) == grpc.StatusCode.INTERNAL


def test_claims():
    nobody = Claim(actor_id="", actor_token="")
    assert claim(None) == nobody
    with called(None, SignedIn({"id": "ann"}, "ann", "proof")):
        assert claim(None) == claim("ann") == claim("") == Claim(actor_id="ann", actor_token="proof")
        assert claim("bob") == Claim(actor_id="bob", actor_token="")  # no proof for anybody else
        with called(None):
            assert claim(None) == nobody
        assert claim(None)["actor_token"] == "proof"
    assert claim("ann") == Claim(actor_id="ann", actor_token="")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('{"id": "ann"}', "ann"),
        ('{"id": 7}', "7"),
        ('{"id": 123456789012345678901}', "123456789012345678901"),
        ('{"id": 1e3}', "1e3"),
        ('{"id": 7.0}', "7.0"),
        ('{"id": true}', "True"),
        ('{"id": null, "name": "Ann"}', ""),
        ('{"id": [1]}', ""),
        ('{"name": "Ann"}', ""),
    ],
)
def test_ids_are_as_the_host_writes_them(text, want):
    who = read_actor(text.encode(), "proof")
    assert (who.actor, who.actor_id, who.token) == (json.loads(text), want, "proof")


@pytest.mark.parametrize("text", ["", "null", "{}"])
def test_nobody_has_no_proof(text):
    assert read_actor(text.encode(), "proof") == SignedIn()


def test_there_is_no_host_outside_of_a_call():
    assert current_actor() is None
    for current in (current_host, current_async_host):
        with pytest.raises(RuntimeError):
            current()


def test_the_host_is_asked_with_the_proof(tmp_path):
    asked = []

    class Server(host_pb2_grpc.SecretsServicer):
        def GetSecret(self, request, context):
            asked.append((request.actor_id, request.actor_token))
            _status.refuse(context, NotSet())

        def CanAccessSecret(self, request, context):
            asked.append((request.actor_id, request.actor_token))
            return host_pb2.CanAccessSecretResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    host_pb2_grpc.add_SecretsServicer_to_server(Server(), server)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    server.start()
    with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel:
        logger = logging.getLogger("test")
        host = Host(Calls(channel, logger), logger, threading.Event())
        with called(None, SignedIn({"id": "ann"}, "ann", "proof")):
            with pytest.raises(NotSet):
                host.get_secret("KEY")
            host.can_access_secret("KEY", "bob")
        host.can_access_secret("KEY")
    server.stop(None).wait()
    assert asked == [("ann", "proof"), ("bob", ""), ("", "")]


def test_calls_before_init_are_refused():
    session = Session(Everything(), None, 2, print)
    for call in (session.start, lambda: session.listen("/none", b"", "/p")):
        with pytest.raises(_errors.Invalid):
            call()


def test_listening_again_ends_what_was_before(hosted, tmp_path):
    plugin = Everything()
    plugin.serve_http = lambda environ, start_response: []
    channel, _, offered = hosted(plugin)
    assert offered[-1] == "Http"
    stub = plugin_pb2_grpc.HttpStub(channel)
    for name in "ab":
        stub.Listen(plugin_pb2.ListenRequest(address=f"{tmp_path}/{name}", key=b"0" * 32, prefix="/-/plugins/w"))
    assert os.listdir(tmp_path) == ["b"]
    for name, key in (("c", b"short"), ("no/folder", b"0" * 32)):
        with pytest.raises(grpc.RpcError):
            stub.Listen(plugin_pb2.ListenRequest(address=f"{tmp_path}/{name}", key=key))
