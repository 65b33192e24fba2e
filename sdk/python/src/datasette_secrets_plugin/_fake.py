"""A small host in memory, with the rules of the real one."""

from __future__ import annotations

import functools
import json
import queue
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import grpc

from ._declaration import Redact, Secret
from ._errors import Denied, Invalid, NotDeclared, NotSet, SecretsError
from ._pb import host_pb2, host_pb2_grpc, plugin_pb2
from ._status import reason_of, refuse

_VALID_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_MAX_BATCH = 100

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Use(NamedTuple):
    """One use of a secret: a get_secret or get_secrets that gave a value.

    A value that the plugin kept is used without the host's knowing. proven
    tells whether the host's own word stood behind the actor.
    """

    name: str
    actor_id: str = ""
    proven: bool = False


def _refusing(handler: Handler) -> Handler:
    @functools.wraps(handler)
    def refusing(self: FakeHost, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            with self.lock:
                if self.failure is not None:
                    raise self.failure
                return handler(self, request, context)
        except SecretsError as error:
            refuse(context, error)

    return refusing  # type: ignore[return-value]


def _secret(declared: plugin_pb2.Secret) -> Secret:
    return Secret(
        declared.name,
        declared.description or None,
        declared.obtain_url or None,
        declared.obtain_label or None,
        declared.pattern or None,
        declared.example or None,
        declared.multiline,
        Redact(declared.redact.prefix, declared.redact.suffix) if declared.HasField("redact") else None,
    )


class FakeHost(host_pb2_grpc.SecretsServicer, host_pb2_grpc.ConfigurationServicer):
    """Serves secrets.host.v1 from a dictionary. What follows is guarded by its lock."""

    def __init__(self, values: Mapping[str, str], config: Any, max_age: int) -> None:
        self.lock = threading.RLock()
        self.declared: dict[str, Secret] = {}
        self.values = dict(values)
        self.versions = dict.fromkeys(values, 1)
        self.denied: set[tuple[str, str]] = set()
        self.uses: list[Use] = []
        self.failure: SecretsError | None = None
        self.tokens: dict[str, str] = {}  # an actor's id by the token that proves it
        self.config = json.dumps(config).encode()
        self.max_age = max_age
        self.changes: list[host_pb2.Change] = []
        self.watches: set[queue.SimpleQueue[host_pb2.Change | None]] = set()

    def token(self, actor_id: str) -> str:
        """Make a token that proves an actor."""
        token = f"actor-token-{secrets.token_urlsafe(16)}"
        with self.lock:
            self.tokens[token] = actor_id
        return token

    def declare(self, declared: list[plugin_pb2.Secret]) -> None:
        """Take the plugin's declarations, unless a host would refuse them."""
        with self.lock:
            for d in declared:
                if not _VALID_NAME.fullmatch(d.name):
                    raise AssertionError(f"a secret cannot be named {d.name!r}")
                self.declared.setdefault(d.name, _secret(d))  # the first declaration wins

    def set(self, name: str, value: str) -> None:
        with self.lock:
            self.values[name] = value
            self.versions[name] = self.versions.get(name, 0) + 1
            self._tell(name, host_pb2.Change.UPDATED)

    def unset(self, name: str) -> None:
        with self.lock:
            if self.values.pop(name, None) is not None:
                self.versions[name] += 1
                self._tell(name, host_pb2.Change.REVOKED)

    def deny(self, name: str, actor_id: str) -> None:
        with self.lock:
            self.denied.add((name, actor_id))
            self.resync()

    def resync(self) -> None:
        with self.lock:
            self._tell("", host_pb2.Change.RESYNC)

    def fail(self, error: SecretsError | None) -> None:
        with self.lock:
            self.failure = error
            self.end_watches()

    def end_watches(self) -> None:
        with self.lock:
            for watch in self.watches:
                watch.put(None)

    def _tell(self, name: str, kind: host_pb2.Change.Kind) -> None:
        cursor = str(len(self.changes) + 1)
        change = host_pb2.Change(kind=kind, name=name, version=self.versions.get(name, 0), cursor=cursor)
        self.changes.append(change)
        for watch in self.watches:
            watch.put(change)

    def _authorize(self, name: str, actor_id: str, token: str) -> None:
        if token and self.tokens.get(token) != actor_id:
            raise Denied("the actor's token does not prove this actor")
        if name not in self.declared:
            raise NotDeclared
        if (name, actor_id) in self.denied:
            raise Denied

    def _get(self, name: str, actor_id: str, token: str) -> host_pb2.GetSecretResponse:
        self._authorize(name, actor_id, token)
        if name not in self.values:
            raise NotSet
        self.uses.append(Use(name, actor_id, bool(token)))
        return host_pb2.GetSecretResponse(
            value=self.values[name].encode("utf-8", "surrogateescape"),
            source="database",
            version=self.versions[name],
            max_age_seconds=self.max_age,
        )

    @_refusing
    def GetSecret(self, request: Any, context: grpc.ServicerContext) -> host_pb2.GetSecretResponse:
        return self._get(request.name, request.actor_id, request.actor_token)

    @_refusing
    def GetSecrets(self, request: Any, context: grpc.ServicerContext) -> host_pb2.GetSecretsResponse:
        if len(request.names) > _MAX_BATCH:
            raise Invalid(f"invalid request: {len(request.names)} names at once, at most {_MAX_BATCH} are allowed")
        response = host_pb2.GetSecretsResponse()
        for name in request.names:
            try:
                found = self._get(name, request.actor_id, request.actor_token)
                response.results.append(host_pb2.SecretResult(name=name, found=found))
            except SecretsError as error:
                response.results.append(host_pb2.SecretResult(name=name, error=reason_of(error)))
        return response

    @_refusing
    def CanAccessSecret(self, request: Any, context: grpc.ServicerContext) -> host_pb2.CanAccessSecretResponse:
        try:
            self._authorize(request.name, request.actor_id, request.actor_token)
        except Denied:
            return host_pb2.CanAccessSecretResponse(allowed=False)
        return host_pb2.CanAccessSecretResponse(allowed=True)

    @_refusing
    def ListSecrets(self, request: Any, context: grpc.ServicerContext) -> host_pb2.ListSecretsResponse:
        return host_pb2.ListSecretsResponse(
            secrets=[
                host_pb2.SecretStatus(name=name, set=name in self.values, source="database" * (name in self.values))
                for name in self.declared
            ]
        )

    @_refusing
    def GetConfig(self, request: Any, context: grpc.ServicerContext) -> host_pb2.GetConfigResponse:
        return host_pb2.GetConfigResponse(json=self.config)

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[host_pb2.Change]:
        told = self._begin(request, context)
        context.add_callback(lambda: told.put(None))  # the plugin has enough
        try:
            while (change := told.get()) is not None:
                if not change.name or change.name in (request.names or self.declared):
                    yield change
        finally:
            with self.lock:
                self.watches.discard(told)

    @_refusing
    def _begin(self, request: Any, context: grpc.ServicerContext) -> queue.SimpleQueue[host_pb2.Change | None]:
        if any(name not in self.declared for name in request.names):
            raise NotDeclared
        here = str(len(self.changes))
        told: queue.SimpleQueue[host_pb2.Change | None] = queue.SimpleQueue()
        told.put(host_pb2.Change(kind=host_pb2.Change.OPENED, cursor=request.cursor or here))
        for change in self.changes[int(request.cursor or here) :]:
            told.put(change)
        self.watches.add(told)
        return told
