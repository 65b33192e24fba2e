"""Changes of secrets, told by the host as they happen."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from ._errors import SecretsError
from ._pb import host_pb2, host_pb2_grpc
from ._status import received

_FIRST_PAUSE = 0.25  # seconds before a watch that broke is opened again; doubled each time
_LONGEST_PAUSE = 10.0

# With these the host says that it will never answer this question otherwise.
_FINAL = frozenset(
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    )
)


@dataclass(frozen=True)
class Change:
    """Says that something about a secret is different. It holds no value.

    kind is one of these:

    * "opened", the first of every watch: from here on changes are told, and
      what is read does not get old unnoticed; it names no secret;
    * "updated": the secret has a new value;
    * "revoked": it has none any more, or the plugin may not read it;
    * "resync": changes may have been missed, and whatever is kept of any secret
      is to be read again; it names none.

    version is the newest in the host's database, and 0 when there is none.
    """

    kind: Literal["opened", "updated", "revoked", "resync"]
    name: str = ""
    version: int = 0


class Watches:
    """Opens watches, and ends them together."""

    def __init__(self, stub: host_pb2_grpc.SecretsStub, logger: logging.Logger) -> None:
        self.stub = stub
        self.logger = logger
        self._lock = threading.Lock()
        self._open: set[Watch] = set()
        self._ended = False

    def open(self, names: tuple[str, ...], observer: Observer) -> Watch:
        watch = Watch(self, names, observer)
        with self._lock:
            self._open.add(watch)
            ended = self._ended
        if ended:
            watch.end()
        return watch

    def forget(self, watch: Watch) -> None:
        with self._lock:
            self._open.discard(watch)

    def end(self) -> None:
        """End all watches, and those that are still to be opened."""
        with self._lock:
            self._ended = True
            watches, self._open = self._open, set()
        for watch in watches:
            watch.end()


class Observer:
    """Is told what a watch comes to know, before whoever iterates over it."""

    def opened(self) -> None:
        """From here on changes arrive."""

    def changed(self, change: Change) -> None:
        """A change has arrived."""

    def broke(self) -> None:
        """Until it is opened again, no changes arrive."""


class Watch(Iterator[Change]):
    """Iterates over changes; when the connection breaks it goes on where it was."""

    def __init__(self, watches: Watches, names: tuple[str, ...], observer: Observer) -> None:
        self._watches = watches
        self._names = names
        self._observer = observer
        self._cursor = ""
        self._began = False
        self._failures = 0  # since the watch was open last
        self._over = threading.Event()
        self._lock = threading.Lock()  # for the call
        self._call: Any = None

    def __next__(self) -> Change:
        while True:
            message, error = self._receive()
            if self._over.is_set():
                raise StopIteration
            if message is not None:
                change = self._take(message)
                if change is not None:
                    return change
            elif error is None or error.code() not in _FINAL:
                self._pause(error)
            else:
                self.end()
                raise received("watching secrets", error) from None

    def end(self) -> None:
        """End the iteration, from any thread."""
        self._over.set()
        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._watches.forget(self)

    def _receive(self) -> tuple[host_pb2.Change | None, grpc.RpcError | None]:
        """Wait for the next message of the host, or for an end with its error."""
        with self._lock:
            if self._over.is_set():
                return None, None
            if self._call is None:
                request = host_pb2.WatchRequest(names=self._names, cursor=self._cursor)
                try:
                    self._call = self._watches.stub.Watch(request)
                except ValueError:  # the channel is closed
                    self._over.set()
                    return None, None
            call = self._call
        try:
            return next(call), None
        except StopIteration:
            return None, None
        except grpc.RpcError as error:
            return None, error

    def _take(self, message: host_pb2.Change) -> Change | None:
        self._cursor = message.cursor
        self._failures = 0
        change = _change(message)
        if change.kind != "opened":
            self._observer.changed(change)
            return change
        self._observer.opened()
        again, self._began = self._began, True
        return None if again else change

    def _pause(self, error: grpc.RpcError | None) -> None:
        """Wait before the watch is opened again."""
        self._observer.broke()
        with self._lock:
            self._call = None
        if self._failures == 1:  # the first is nothing unusual
            reason: object = received("watching secrets", error) if error else SecretsError("the host ended the watch")
            self._watches.logger.warning("a watch broke, and is tried again", extra={"error": reason})
        pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        self._over.wait(pause * random.uniform(0.5, 1))


def _change(message: host_pb2.Change) -> Change:
    if message.kind == host_pb2.Change.OPENED:
        return Change("opened")
    if message.kind == host_pb2.Change.UPDATED:
        return Change("updated", message.name, message.version)
    if message.kind == host_pb2.Change.REVOKED:
        return Change("revoked", message.name, message.version)
    return Change("resync")  # also for what a newer host may say
