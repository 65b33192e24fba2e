"""What a plugin can ask of its host."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc

from ._context import claim
from ._declaration import SecretStatus
from ._errors import SecretsError, Unavailable
from ._pb import host_pb2, host_pb2_grpc
from ._status import received
from ._value import Value
from ._wire import CALL_TIMEOUT

T = TypeVar("T")


class Host:
    """What a plugin can ask of its host.

    Its methods may be called from any thread. Each raises a SecretsError when
    the host refuses or cannot answer within timeout seconds.
    """

    def __init__(self, channel: grpc.Channel, logger: logging.Logger, stopping: threading.Event) -> None:
        self._calls = _Calls(channel)
        self._logger = logger
        self._stopping = stopping

    def get_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> Value:
        """Return the value of a secret that this plugin declared.

        It counts as a use of the secret by the actor with that id. Without an
        id that is the actor whom the host has just asked this plugin something
        for, and otherwise nobody in particular.
        """
        return self._calls.get_secret(name, actor_id).run(timeout)

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

    def __init__(self, channel: grpc.Channel, logger: logging.Logger) -> None:
        self._calls = _Calls(channel)
        self._logger = logger

    async def get_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> Value:
        """Return the value of a secret, as Host.get_secret does."""
        return await self._calls.get_secret(name, actor_id).wait(timeout)

    async def can_access_secret(self, name: str, actor_id: str | None = None, *, timeout: float = CALL_TIMEOUT) -> bool:
        """Say whether get_secret would be allowed, as Host.can_access_secret does."""
        return await self._calls.can_access_secret(name, actor_id).wait(timeout)

    async def list_secrets(self, *, timeout: float = CALL_TIMEOUT) -> list[SecretStatus]:
        """Say which of the declared secrets are set, as Host.list_secrets does."""
        return await self._calls.list_secrets().wait(timeout)

    async def config(self, *, timeout: float = CALL_TIMEOUT) -> Any:
        """Return the plugin's own block of configuration, as Host.config does."""
        return await self._calls.config().wait(timeout)

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


class _Calls:
    """The calls that the host answers, as Host and AsyncHost make them."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._secrets = host_pb2_grpc.SecretsStub(channel)
        self._configuration = host_pb2_grpc.ConfigurationStub(channel)

    def get_secret(self, name: str, actor_id: str | None) -> _Call[Value]:
        request = host_pb2.GetSecretRequest(name=name, **claim(actor_id))
        return _Call(self._secrets.GetSecret, request, f"getting secret {name!r}", _value)

    def can_access_secret(self, name: str, actor_id: str | None) -> _Call[bool]:
        request = host_pb2.CanAccessSecretRequest(name=name, **claim(actor_id))
        doing = f"asking for access to secret {name!r}"
        return _Call(self._secrets.CanAccessSecret, request, doing, lambda response: bool(response.allowed))

    def list_secrets(self) -> _Call[list[SecretStatus]]:
        return _Call(self._secrets.ListSecrets, host_pb2.ListSecretsRequest(), "listing secrets", _statuses)

    def config(self) -> _Call[Any]:
        request = host_pb2.GetConfigRequest()
        return _Call(self._configuration.GetConfig, request, "getting the configuration", _configuration)


def _value(response: host_pb2.GetSecretResponse) -> Value:
    # A value of the environment need not be UTF-8; Python's own os.environ
    # keeps the other bytes in the same way.
    return Value(response.value.decode("utf-8", "surrogateescape"))


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
