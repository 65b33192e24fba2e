"""One plugin in the course of one life: its services, and its start."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2

from ._declaration import Redact, Secret
from ._errors import Invalid, Unavailable
from ._host import AsyncHost, Host
from ._logs import new_logger
from ._pb import plugin_pb2, plugin_pb2_grpc, wire_pb2
from ._plugin import Plugin
from ._status import refuse

Handler = TypeVar("Handler", bound=Callable[..., Any])

STOP_TIMEOUT = 3.0  # seconds for start to return

_HEALTH_SERVICES = ("", "plugin")  # the whole server, and go-plugin's name of it


class Session:
    """The state of a plugin's life, and what begins and ends it."""

    def __init__(self, plugin: Plugin, connect: Callable[[str], grpc.Channel], stderr: int) -> None:
        self.plugin = plugin
        self.logger = new_logger("plugin", stderr)
        self.failed = False  # start has raised an exception
        self.ended = threading.Event()  # start has returned
        self._connect = connect
        self._stderr = stderr
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # for what follows
        self._channel: grpc.Channel | None = None
        self._started = False
        self._cancel: Callable[[], object] | None = None  # of an async start

    @property
    def can_start(self) -> bool:
        return callable(getattr(self.plugin, "start", None))

    def init(self, name: str, address: str) -> None:
        """Connect to the host."""
        with self._lock:
            if self._channel is not None:
                raise Invalid("invalid request: Init was called twice")
            self._channel = self._connect(address)
            self.logger = new_logger(name, self._stderr)

    def start(self, on_failure: Callable[[], None]) -> None:
        """Call the plugin's start in the background."""
        with self._lock:
            if self._channel is None:
                raise Invalid("invalid request: Start was called before Init")
            if self._started:
                raise Invalid("invalid request: Start was called twice")
            if self._stopping.is_set():
                raise Unavailable("the plugin is stopping")
            self._started = True
            run = functools.partial(self._run, self._channel, on_failure)
            # A daemon, so that a start that never returns cannot keep the
            # process from ending.
            threading.Thread(target=run, name="start", daemon=True).start()

    def stop(self, timeout: float) -> bool:
        """Ask the plugin to stop, and say whether it did so in time."""
        with self._lock:
            self._stopping.set()
            cancel, self._cancel = self._cancel, None
            if cancel is not None:
                cancel()
            started, channel = self._started, self._channel
        if started and not self.ended.wait(timeout):
            return False
        if channel is not None:
            channel.close()
        return True

    def _run(self, channel: grpc.Channel, on_failure: Callable[[], None]) -> None:
        try:
            self._call_start(channel)
        except BaseException as error:  # sys.exit would end no more than this thread
            if not self._stopping.is_set():
                self.failed = True
                self.logger.error("the plugin failed", exc_info=error)
        finally:
            self.ended.set()
            if self.failed:
                on_failure()

    def _call_start(self, channel: grpc.Channel) -> None:
        start = self.plugin.start  # type: ignore[attr-defined] # can_start was asked
        if inspect.iscoroutinefunction(start):
            asyncio.run(self._await_start(start, AsyncHost(channel, self.logger)))
        else:
            start(Host(channel, self.logger, self._stopping))

    async def _await_start(self, start: Callable[[AsyncHost], Any], host: AsyncHost) -> None:
        task = asyncio.ensure_future(start(host))
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._stopping.is_set():
                task.cancel()
            else:
                self._cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        try:
            await task
        finally:
            with self._lock:
                self._cancel = None


def register(session: Session, server: grpc.Server, leave: Callable[[str], None]) -> None:
    """Offer the plugin's services on server. leave is called with a reason to end."""
    plugin_pb2_grpc.add_LifecycleServicer_to_server(_Lifecycle(session), server)
    plugin_pb2_grpc.add_DeclarationsServicer_to_server(_Declarations(session), server)
    if session.can_start:
        plugin_pb2_grpc.add_StarterServicer_to_server(_Starter(session, leave), server)
    server.add_generic_rpc_handlers((_health(), _controller(leave)))


def _guarded(handler: Handler) -> Handler:
    """Log why a call of the host failed, and tell the host its class only."""

    @functools.wraps(handler)
    def guarded(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request, context)
        except BaseException as error:
            self.session.logger.error("call from the host failed", exc_info=error, extra={"call": handler.__name__})
            refuse(context, error)

    return guarded  # type: ignore[return-value]


class _Lifecycle(plugin_pb2_grpc.LifecycleServicer):
    def __init__(self, session: Session) -> None:
        self.session = session

    @_guarded
    def Init(self, request: plugin_pb2.InitRequest, context: grpc.ServicerContext) -> plugin_pb2.InitResponse:
        self.session.init(request.plugin_name, request.host_address)
        services = ["secrets.plugin.v1.Lifecycle", "secrets.plugin.v1.Declarations"]
        if self.session.can_start:
            services.append("secrets.plugin.v1.Starter")
        version = str(getattr(self.session.plugin, "version", None) or "")
        return plugin_pb2.InitResponse(version=version, services=services)

    @_guarded
    def Shutdown(
        self, request: plugin_pb2.ShutdownRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.ShutdownResponse:
        remaining = context.time_remaining()
        if not self.session.stop(STOP_TIMEOUT if remaining is None else min(remaining, STOP_TIMEOUT)):
            raise TimeoutError("start has not returned")
        return plugin_pb2.ShutdownResponse()


class _Declarations(plugin_pb2_grpc.DeclarationsServicer):
    def __init__(self, session: Session) -> None:
        self.session = session

    @_guarded
    def RegisterSecrets(
        self, request: plugin_pb2.RegisterSecretsRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.RegisterSecretsResponse:
        declared = self.session.plugin.register_secrets()
        if inspect.isawaitable(declared):
            declared = asyncio.run(_settle(declared))
        return plugin_pb2.RegisterSecretsResponse(secrets=[_to_proto(secret) for secret in declared])


class _Starter(plugin_pb2_grpc.StarterServicer):
    def __init__(self, session: Session, leave: Callable[[str], None]) -> None:
        self.session = session
        self._leave = leave

    @_guarded
    def Start(self, request: plugin_pb2.StartRequest, context: grpc.ServicerContext) -> plugin_pb2.StartResponse:
        self.session.start(lambda: self._leave("start failed"))
        return plugin_pb2.StartResponse()


async def _settle(awaitable: Any) -> Any:
    return await awaitable


def _to_proto(secret: Secret) -> plugin_pb2.Secret:
    if not isinstance(secret, Secret):
        raise TypeError(f"register_secrets must return Secrets, not {type(secret).__name__}")
    return plugin_pb2.Secret(
        name=secret.name,
        description=secret.description or "",
        obtain_url=secret.obtain_url or "",
        obtain_label=secret.obtain_label or "",
        pattern=secret.pattern or "",
        example=secret.example or "",
        multiline=secret.multiline,
        redact=None if secret.redact is None else _redact_to_proto(secret.redact),
    )


def _redact_to_proto(redact: Redact) -> plugin_pb2.Redact:
    return plugin_pb2.Redact(prefix=redact.prefix, suffix=redact.suffix)


def _health() -> grpc.GenericRpcHandler:
    """grpc.health.v1, by which the host probes the plugin."""

    def check(request: wire_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> wire_pb2.HealthCheckResponse:
        if request.service not in _HEALTH_SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return wire_pb2.HealthCheckResponse(status=wire_pb2.HealthCheckResponse.SERVING)

    return _handlers("grpc.health.v1.Health", "Check", check, wire_pb2.HealthCheckRequest, wire_pb2.HealthCheckResponse)


def _controller(leave: Callable[[str], None]) -> grpc.GenericRpcHandler:
    """plugin.GRPCController, by which go-plugin ends a plugin."""

    def shutdown(request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        context.add_callback(lambda: leave("asked"))  # after the answer
        return empty_pb2.Empty()

    return _handlers("plugin.GRPCController", "Shutdown", shutdown, empty_pb2.Empty, empty_pb2.Empty)


def _handlers(
    service: str, method: str, handler: Callable[..., Any], request: Any, response: Any
) -> grpc.GenericRpcHandler:
    call = grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )
    return grpc.method_handlers_generic_handler(service, {method: call})
