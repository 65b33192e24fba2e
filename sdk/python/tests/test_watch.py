"""Watches, and the values that are kept while one is open, against a small host."""

import asyncio
import logging
import queue
import threading
import time
from concurrent import futures

import grpc
import pytest

from datasette_secrets_plugin import AsyncHost, Change, Denied, Host, SecretsError, Value, _cache, _watch
from datasette_secrets_plugin._cache import Cache, Key
from datasette_secrets_plugin._context import SignedIn, called
from datasette_secrets_plugin._errors import NotDeclared
from datasette_secrets_plugin._host import Calls
from datasette_secrets_plugin._pb import host_pb2, host_pb2_grpc
from datasette_secrets_plugin._status import refuse

LOGGER = logging.getLogger("watch")
PATIENCE = 20

OPENED = host_pb2.Change(kind=host_pb2.Change.OPENED, cursor="1")


def updated(name, version, cursor):
    return host_pb2.Change(kind=host_pb2.Change.UPDATED, name=name, version=version, cursor=cursor)


class Server(host_pb2_grpc.SecretsServicer):
    """Says to each watch what a test puts into its queue."""

    def __init__(self):
        self.watches = queue.SimpleQueue()  # (request, queue of what to say)
        self.version = 1
        self.asked = 0
        self.max_age = 60
        self.held = None  # (begun, answer): a read in between

    def Watch(self, request, context):
        says = queue.SimpleQueue()
        context.add_callback(lambda: says.put(None))
        self.watches.put((request, says))
        while (said := says.get()) is not None:
            if isinstance(said, Exception):
                refuse(context, said)
            if isinstance(said, grpc.StatusCode):
                context.abort(said, "said so")
            yield said

    def GetSecret(self, request, context):
        self.asked += 1
        version = self.version
        if self.held:
            self.held[0].set()
            self.held[1].wait(PATIENCE)
        return host_pb2.GetSecretResponse(
            value=f"{version} of {request.actor_id}".encode(), version=version, max_age_seconds=self.max_age
        )


@pytest.fixture
def hosted(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(_watch, "_FIRST_PAUSE", 0.01)
    servicer = Server()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    host_pb2_grpc.add_SecretsServicer_to_server(servicer, server)
    address = f"unix:{tmp_path_factory.mktemp('s')}/s"
    server.add_insecure_port(address)
    server.start()
    channel = grpc.insecure_channel(address)
    calls = Calls(channel, LOGGER)
    yield servicer, calls
    calls.end()
    channel.close()
    server.stop(None).wait()


def reading(calls):
    return Host(calls, LOGGER, threading.Event())


def in_background(iterator):
    """Returns a queue of what an iterator gives, and of how it ends."""
    seen = queue.SimpleQueue()

    def run():
        try:
            for change in iterator:
                seen.put(change)
            seen.put("the end")
        except SecretsError as error:
            seen.put(error)

    threading.Thread(target=run, daemon=True).start()
    return seen


def test_changes_and_where_to_go_on_from(hosted):
    server, calls = hosted
    seen = in_background(reading(calls).watch("A", "B"))
    request, says = server.watches.get(timeout=PATIENCE)
    assert list(request.names) == ["A", "B"] and request.cursor == ""
    for message in (OPENED, updated("A", 2, "7"), host_pb2.Change(kind=host_pb2.Change.REVOKED, name="B", cursor="8")):
        says.put(message)
    assert seen.get(timeout=PATIENCE) == Change("opened")  # once
    assert seen.get(timeout=PATIENCE) == Change("updated", "A", 2)
    assert seen.get(timeout=PATIENCE) == Change("revoked", "B", 0)
    says.put(None)  # the host ends the call

    for cut in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):
        request, says = server.watches.get(timeout=PATIENCE)
        assert request.cursor == "8"
        says.put(cut)
    request, says = server.watches.get(timeout=PATIENCE)
    says.put(host_pb2.Change(kind=host_pb2.Change.OPENED, cursor="8"))
    says.put(host_pb2.Change(kind=host_pb2.Change.RESYNC, cursor="other.1"))
    says.put(host_pb2.Change(kind=99, name="A", cursor="other.2"))
    assert seen.get(timeout=PATIENCE) == Change("resync") == seen.get(timeout=PATIENCE)
    says.put(None)
    request, says = server.watches.get(timeout=PATIENCE)
    assert request.cursor == "other.2"
    calls.end()
    assert seen.get(timeout=PATIENCE) == "the end"
    assert list(reading(calls).watch()) == []  # there are no more


def test_a_watch_that_will_not_be(hosted):
    server, calls = hosted
    seen = in_background(reading(calls).watch("OTHER"))
    server.watches.get(timeout=PATIENCE)[1].put(NotDeclared())
    error = seen.get(timeout=PATIENCE)
    assert isinstance(error, Denied) and str(error).startswith("watching secrets: permission denied")
    assert server.watches.empty()


def test_a_watch_ends_with_its_loop(hosted):
    server, calls = hosted

    def first(host):
        for change in host.watch():
            return change

    seen = queue.SimpleQueue()
    threading.Thread(target=lambda: seen.put(first(reading(calls)))).start()
    _, says = server.watches.get(timeout=PATIENCE)
    says.put(updated("A", 1, "1"))
    assert seen.get(timeout=PATIENCE) == Change("updated", "A", 1)
    assert not calls._watches._open


def test_async_watch(hosted):
    server, calls = hosted

    async def main():
        seen = asyncio.Queue()

        async def follow():
            async for change in AsyncHost(calls, LOGGER).watch("A"):
                await seen.put(change)

        task = asyncio.create_task(follow())
        _, says = await asyncio.to_thread(server.watches.get, timeout=PATIENCE)
        says.put(OPENED)
        says.put(updated("A", 3, "1"))
        assert await asyncio.wait_for(seen.get(), PATIENCE) == Change("opened")
        assert await asyncio.wait_for(seen.get(), PATIENCE) == Change("updated", "A", 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Denied):
            refused = asyncio.create_task(anext(AsyncHost(calls, LOGGER).watch("B")))
            (await asyncio.to_thread(server.watches.get, timeout=PATIENCE))[1].put(NotDeclared())
            await refused

    asyncio.run(main())
    assert not calls._watches._open


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def opened(server, calls):
    """Makes the host allow keeping values, and opens the watch that this needs."""
    reading(calls).get_secret("A")
    _, says = server.watches.get(timeout=PATIENCE)
    says.put(OPENED)
    until(lambda: calls._cache.mark("A"))
    server.asked = 0
    return says


def test_values_are_kept_while_the_watch_tells(hosted):
    server, calls = hosted
    host = reading(calls)
    says = opened(server, calls)
    value = host.get_secret("A")
    assert (value.reveal(), value.version, server.asked) == ("1 of ", 1, 1)
    assert host.get_secret("A") is value and server.asked == 1
    assert host.get_secret("A", "ann").reveal() == "1 of ann" and server.asked == 2  # somebody else
    assert host.get_secret("A", "ann").reveal() == "1 of ann" and server.asked == 2
    with called(None, SignedIn({"id": "ann"}, "ann", "proof")):
        host.get_secret("A")
        assert server.asked == 3  # with proof
        host.get_secret("A")
        assert server.asked == 3

    assert host.get_secret("B").version == 1 and server.asked == 4
    server.version = 2
    says.put(updated("A", 2, "2"))
    until(lambda: host.get_secret("A").version == 2)
    assert host.get_secret("B").version == 1  # is another secret

    for forget in (host_pb2.Change(kind=host_pb2.Change.RESYNC, cursor="3"), None, grpc.StatusCode.UNAVAILABLE):
        host.get_secret("A")
        server.version += 1
        says.put(forget)
        until(lambda: host.get_secret("A").version == server.version)
        if not isinstance(forget, host_pb2.Change):
            asked = server.asked
            host.get_secret("A")
            assert server.asked == asked + 1  # nothing is kept while the watch is broken
            request, says = server.watches.get(timeout=PATIENCE)
            assert request.cursor == "3" and not request.names
            says.put(host_pb2.Change(kind=host_pb2.Change.OPENED, cursor="3"))
            until(lambda: calls._cache.mark("A"))

    calls.end()
    until(lambda: not calls._cache.mark("A"))
    assert not calls._cache._kept


def test_nothing_is_kept_that_the_host_forbids(hosted):
    server, calls = hosted
    server.max_age = 0
    for _ in range(3):
        reading(calls).get_secret("A")
    assert server.asked == 3 and server.watches.empty()


def test_what_changes_while_it_is_read_is_not_kept(hosted):
    server, calls = hosted
    host = reading(calls)
    says = opened(server, calls)
    begun, answer = server.held = threading.Event(), threading.Event()
    seen = queue.SimpleQueue()
    threading.Thread(target=lambda: seen.put(host.get_secret("A"))).start()
    assert begun.wait(PATIENCE)  # the host has read the old value
    before = calls._cache.mark("A").changes
    server.version = 2
    says.put(updated("A", 2, "2"))
    until(lambda: calls._cache.mark("A").changes != before)
    answer.set()
    assert seen.get(timeout=PATIENCE).version == 1
    server.held = None
    assert host.get_secret("A").version == 2


def test_the_authors_own_watch_is_never_ahead_of_the_cache(hosted):
    server, calls = hosted
    host = reading(calls)
    opened(server, calls)
    host.get_secret("A")
    seen = in_background(host.watch("A"))
    _, says = server.watches.get(timeout=PATIENCE)
    server.version = 2
    says.put(updated("A", 2, "2"))  # the other watch hears nothing yet
    assert seen.get(timeout=PATIENCE) == Change("updated", "A", 2)
    assert host.get_secret("A").version == 2


def test_values_age(monkeypatch):
    cache, key = Cache(), Key("A", "", False)
    cache.opened()
    now = 100.0
    monkeypatch.setattr(_cache.time, "monotonic", lambda: now)
    cache.put(key, Value("x"), 5, cache.mark("A"))
    now = 104.9
    assert cache.get(key).reveal() == "x"
    now = 105.0
    assert cache.get(key) is None
    cache.put(key, Value("x"), 0, cache.mark("A"))
    assert cache.get(key) is None


def test_no_more_than_so_many_values_are_kept(monkeypatch):
    monkeypatch.setattr(_cache, "_MAX_KEPT", 2)
    cache = Cache()
    cache.opened()
    for name in "ABC":
        cache.put(Key(name, "", False), Value(name), 60, cache.mark(name))
    assert [cache.get(Key(name, "", False)) is not None for name in "ABC"] == [False, True, True]
