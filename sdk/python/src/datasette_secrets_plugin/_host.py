"""What a plugin can ask of its host."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, Generic, NamedTuple, TypeVar

import grpc

from ._batch import Secrets
from ._cache import Cache, Key, Mark
from ._context import Claim, claim
from ._declaration import SecretStatus
from ._errors import SecretsError, Unavailable
from ._pb import host_pb2, host_pb2_grpc
from ._status import error_of, received
from ._value import Value
from ._watch import Change, Observer, Watch, Watches
from ._wire import CALL_TIMEOUT

T = TypeVar("T")

_MAX_NAMES = 100  # that the host gives at once


class Host:
    """What a plugin can ask of its host.

    Its methods may be called from any thread. Each raises a SecretsError when
    the host refuses or cannot answer within timeout seconds.
    """

    def __init__(self, calls: Calls, logger: logging.Logger, stopping: threading.Event) -> None:
        self._calls = calls
        self._logger = logger
        self._stopping = stopping

    def get_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> Value:
        """Return the value of a secret that this plugin declared.

        It counts as a use of the secret by the actor with that id. Without an
        id that is the actor whom the host has just asked this plugin something
        for, and otherwise nobody in particular.
        """
        return self._calls.get_secret(name, actor_id).run(timeout)

    def get_secrets(
        self, names: Iterable[str], actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT
    ) -> Secrets:
        """Do what get_secret does for many secrets at once, which is faster.

        It returns what it could get; the result also says why it could not get
        the others. It raises no SecretsError by itself.
        """
        batch = self._calls.get_secrets(names, actor_id)
        for part in batch.parts:
            try:
                part.call.run(timeout)
            except SecretsError as error:
                batch.fail(part, error)
        return batch.result()

    def can_access_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> bool:
        """Say whether get_secret would be allowed.

        It is no use of the secret, and says nothing about whether it is set.
        """
        return self._calls.can_access_secret(name, actor_id).run(timeout)

    def list_secrets(self, *, timeout: float = CALL_TIMEOUT) -> list[SecretStatus]:
        """Say which of the declared secrets are set. It is no use of them."""
        return self._calls.list_secrets().run(timeout)

    def config(self, *, timeout: float = CALL_TIMEOUT) -> Any:
        """Return the plugin's own block of the host's configuration, plugins.NAME.

        Where there is no such block, that is an empty dictionary.
        """
        return self._calls.config().run(timeout)

    def watch(self, *names: str) -> Iterator[Change]:
        """Iterate over changes of secrets, until the host wants the plugin to stop.

        No names stand for all that this plugin declared. What changes from the
        first step on is told; when the connection breaks, the watch goes on
        where it was. A SecretsError ends it: the host will not tell.

        Read a value after the first step and at each change. A plugin that only
        wants the newest value needs no watch, and asks whenever it needs it.
        """
        watch = self._calls.watch(names)
        try:
            yield from watch
        finally:
            watch.end()

    @property
    def logger(self) -> logging.Logger:
        """Writes to the host's log; extra={…} adds fields to the line."""
        return self._logger

    @property
    def stopping(self) -> threading.Event:
        """Is set when the host wants the plugin to stop.

        The process is ended about two seconds later. To do something again
        and again: ``while not host.stopping.wait(60): …``
        """
        return self._stopping


class AsyncHost:
    """Host for a plugin whose start is an async function.

    Its methods may be called in the event loop in which start runs. There is
    no stopping: start is cancelled when the host wants the plugin to stop.
    """

    def __init__(self, calls: Calls, logger: logging.Logger) -> None:
        self._calls = calls
        self._logger = logger

    async def get_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> Value:
        """Return the value of a secret, as Host.get_secret does."""
        return await self._calls.get_secret(name, actor_id).wait(timeout)

    async def get_secrets(
        self, names: Iterable[str], actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT
    ) -> Secrets:
        """Do what get_secret does for many secrets at once, as Host.get_secrets does."""
        batch = self._calls.get_secrets(names, actor_id)
        for part in batch.parts:
            try:
                await part.call.wait(timeout)
            except SecretsError as error:
                batch.fail(part, error)
        return batch.result()

    async def can_access_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> bool:
        """Say whether get_secret would be allowed, as Host.can_access_secret does."""
        return await self._calls.can_access_secret(name, actor_id).wait(timeout)

    async def list_secrets(self, *, timeout: float = CALL_TIMEOUT) -> list[SecretStatus]:
        """Say which of the declared secrets are set, as Host.list_secrets does."""
        return await self._calls.list_secrets().wait(timeout)

    async def config(self, *, timeout: float = CALL_TIMEOUT) -> Any:
        """Return the plugin's own block of configuration, as Host.config does."""
        return await self._calls.config().wait(timeout)

    async def watch(self, *names: str) -> AsyncIterator[Change]:
        """Iterate over changes of secrets, as Host.watch does."""
        watch = self._calls.watch(names)
        loop = asyncio.get_running_loop()
        # A thread of its own: those of the loop are few, and this one waits for long.
        with futures.ThreadPoolExecutor(1, thread_name_prefix="watch") as thread:
            try:
                while (change := await loop.run_in_executor(thread, next, watch, None)) is not None:
                    yield change
            finally:
                watch.end()

    @property
    def logger(self) -> logging.Logger:
        """Writes to the host's log; extra={…} adds fields to the line."""
        return self._logger


class _Call(Generic[T]):
    """One call, made ready but not begun."""

    def __init__(self, method: Any, request: Any, doing: str, decode: Callable[[Any], T]) -> None:
        self._method = method
        self._request = request
        self._doing = doing
        self._decode = decode

    def run(self, timeout: float) -> T:
        return self._finish(self._begin(timeout))

    async def wait(self, timeout: float) -> T:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        call = self._begin(timeout)
        call.add_done_callback(lambda _: _wake(loop, done))
        try:
            await done.wait()
        except asyncio.CancelledError:
            call.cancel()
            raise
        return self._finish(call)

    def _begin(self, timeout: float) -> Any:
        try:
            return self._method.future(self._request, timeout=timeout)
        except ValueError:  # the channel is closed
            raise Unavailable(f"{self._doing}: temporarily unavailable: the plugin is stopping") from None

    def _finish(self, call: Any) -> T:
        try:
            response = call.result()
        except grpc.RpcError as error:
            # The error has neither the request nor the response, but a lot
            # that says nothing to the reader of a log.
            raise received(self._doing, error) from None
        except grpc.FutureCancelledError:
            raise Unavailable(f"{self._doing}: temporarily unavailable: the plugin is stopping") from None
        return self._decode(response)


class _Kept(Generic[T]):
    """A call that need not be made: its answer is known."""

    def __init__(self, answer: T) -> None:
        self._answer = answer

    def run(self, timeout: float) -> T:
        return self._answer

    async def wait(self, timeout: float) -> T:
        return self._answer


class _Part(NamedTuple):
    """As many names as the host answers at once, and the call that asks for them."""

    names: list[str]
    call: _Call[None]


class _Batch:
    """The result of get_secrets, while it comes together."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.values: dict[str, Value] = {}
        self.errors: dict[str, SecretsError] = {}

    def fail(self, part: _Part, error: SecretsError) -> None:
        self.errors.update(dict.fromkeys(part.names, error))

    def result(self) -> Secrets:
        return Secrets(self.values, self.errors)


class Calls:
    """The calls that the host answers, as Host and AsyncHost make them."""

    def __init__(self, channel: grpc.Channel, logger: logging.Logger) -> None:
        self._secrets = host_pb2_grpc.SecretsStub(channel)
        self._configuration = host_pb2_grpc.ConfigurationStub(channel)
        self._watches = Watches(self._secrets, logger)
        self._cache = Cache()
        self._lock = threading.Lock()
        self._following = False  # the cache observes a watch

    def end(self) -> None:
        """End all watches, and keep no values from now on."""
        self._watches.end()

    def get_secret(self, name: str, actor_id: str | None) -> _Call[Value] | _Kept[Value]:
        on_behalf = claim(actor_id)
        key = _key(name, on_behalf)
        kept = self._cache.get(key)
        if kept is not None:
            return _Kept(kept)
        before = self._cache.mark(name)
        request = host_pb2.GetSecretRequest(name=name, **on_behalf)
        return _Call(
            self._secrets.GetSecret,
            request,
            f"getting secret {name!r}",
            lambda response: self._accept(response, key, before),
        )

    def get_secrets(self, names: Iterable[str], actor_id: str | None) -> _Batch:
        on_behalf = claim(actor_id)
        batch = _Batch()
        missing = []
        for name in dict.fromkeys(names):
            kept = self._cache.get(_key(name, on_behalf))
            if kept is None:
                missing.append(name)
            else:
                batch.values[name] = kept
        for start in range(0, len(missing), _MAX_NAMES):
            batch.parts.append(self._part(batch, missing[start : start + _MAX_NAMES], on_behalf))
        return batch

    def _part(self, batch: _Batch, names: list[str], on_behalf: Claim) -> _Part:
        before = {name: self._cache.mark(name) for name in names}

        def decode(response: host_pb2.GetSecretsResponse) -> None:
            results = {result.name: result for result in response.results}
            for name in names:
                result = results.get(name, host_pb2.SecretResult())
                if result.error or not result.HasField("found"):
                    batch.errors[name] = error_of(f"getting secret {name!r}", result.error)
                else:
                    batch.values[name] = self._accept(result.found, _key(name, on_behalf), before[name])

        request = host_pb2.GetSecretsRequest(names=names, **on_behalf)
        return _Part(names, _Call(self._secrets.GetSecrets, request, f"getting {len(names)} secrets", decode))

    def _accept(self, response: host_pb2.GetSecretResponse, key: Key, before: Mark | None) -> Value:
        """Turn what the host gave into a Value, and keep it if that is allowed."""
        value = _value(response)
        if response.max_age_seconds:
            self._follow()
            self._cache.put(key, value, response.max_age_seconds, before)
        return value

    def watch(self, names: tuple[str, ...]) -> Watch:
        return self._watches.open(names, _Also(self._cache))

    def _follow(self) -> None:
        """Let the cache observe a watch of all secrets, from the first time that it may keep one."""
        with self._lock:
            if self._following:
                return
            self._following = True
        watch = self._watches.open((), self._cache)

        def run() -> None:
            with contextlib.suppress(SecretsError):  # it will not tell, so nothing is kept
                for _ in watch:
                    pass
            self._cache.broke()

        threading.Thread(target=run, name="watch", daemon=True).start()

    def can_access_secret(self, name: str, actor_id: str | None) -> _Call[bool]:
        request = host_pb2.CanAccessSecretRequest(name=name, **claim(actor_id))
        doing = f"asking for access to secret {name!r}"
        return _Call(self._secrets.CanAccessSecret, request, doing, lambda response: bool(response.allowed))

    def list_secrets(self) -> _Call[list[SecretStatus]]:
        return _Call(self._secrets.ListSecrets, host_pb2.ListSecretsRequest(), "listing secrets", _statuses)

    def config(self) -> _Call[Any]:
        request = host_pb2.GetConfigRequest()
        return _Call(self._configuration.GetConfig, request, "getting the configuration", _configuration)


class _Also(Observer):
    """Lets the cache know what the author's own watch comes to know."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def changed(self, change: Change) -> None:
        self._cache.changed(change)


def _key(name: str, on_behalf: Claim) -> Key:
    return Key(name, on_behalf["actor_id"], bool(on_behalf["actor_token"]))


def _value(response: host_pb2.GetSecretResponse) -> Value:
    # A value of the environment need not be UTF-8; Python's own os.environ
    # keeps the other bytes in the same way.
    return Value(response.value.decode("utf-8", "surrogateescape"), response.version)


def _statuses(response: host_pb2.ListSecretsResponse) -> list[SecretStatus]:
    return [SecretStatus(s.name, s.set, s.source) for s in response.secrets]


def _configuration(response: host_pb2.GetConfigResponse) -> Any:
    try:
        block = json.loads(response.json)
    except ValueError:
        # json's own error would hold the text, and so perhaps a secret.
        raise SecretsError("reading the configuration: it is not JSON") from None
    return {} if block is None else block


def _wake(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(done.set)
    except RuntimeError:
        pass  # the loop has ended, and nobody waits
