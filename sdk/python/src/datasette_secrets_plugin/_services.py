"""The services that a plugin offers to its host."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2

from ._context import called, encode_actor, read_actor
from ._declaration import Redact, Secret
from ._hooks import MenuLink, RequestMeta, TestResult
from ._pb import plugin_pb2, plugin_pb2_grpc, wire_pb2
from ._session import STOP_TIMEOUT, Session
from ._status import refuse
from ._value import Value

Handler = TypeVar("Handler", bound=Callable[..., Any])

_HEALTH_SERVICES = ("", "plugin")  # the whole server, and go-plugin's name of it


def register(session: Session, server: grpc.Server) -> None:
    """Offer on server what every plugin has, and what this one has methods for."""
    services = ["secrets.plugin.v1.Lifecycle", "secrets.plugin.v1.Declarations"]
    for method, service, add, servicer in _OPTIONAL:
        if session.offers(method):
            add(servicer(session), server)
            services.append(f"secrets.plugin.v1.{service}")
    plugin_pb2_grpc.add_LifecycleServicer_to_server(_Lifecycle(session, services), server)
    plugin_pb2_grpc.add_DeclarationsServicer_to_server(_Declarations(session), server)
    server.add_generic_rpc_handlers((_health(), _controller(session)))


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


def _settled(result: Any, context: grpc.ServicerContext) -> Any:
    """Return what a method of the plugin returned, or what that awaits.

    It is cancelled when the host gives the call up.
    """
    if not inspect.isawaitable(result):
        return result

    async def settle() -> Any:
        return await asyncio.wait_for(result, context.time_remaining())

    return asyncio.run(settle())


class _Service:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.plugin: Any = session.plugin


class _Lifecycle(_Service, plugin_pb2_grpc.LifecycleServicer):
    def __init__(self, session: Session, services: list[str]) -> None:
        super().__init__(session)
        self.services = services

    @_guarded
    def Init(self, request: plugin_pb2.InitRequest, context: grpc.ServicerContext) -> plugin_pb2.InitResponse:
        self.session.init(request.plugin_name, request.host_address)
        version = str(getattr(self.plugin, "version", None) or "")
        return plugin_pb2.InitResponse(version=version, services=self.services)

    @_guarded
    def Shutdown(
        self, request: plugin_pb2.ShutdownRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.ShutdownResponse:
        remaining = context.time_remaining()
        if not self.session.stop(STOP_TIMEOUT if remaining is None else min(remaining, STOP_TIMEOUT)):
            raise TimeoutError("start has not returned")
        return plugin_pb2.ShutdownResponse()


class _Declarations(_Service, plugin_pb2_grpc.DeclarationsServicer):
    @_guarded
    def RegisterSecrets(
        self, request: plugin_pb2.RegisterSecretsRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.RegisterSecretsResponse:
        declared = _settled(self.plugin.register_secrets(), context)
        return plugin_pb2.RegisterSecretsResponse(secrets=[_secret(secret) for secret in declared])


class _Starter(_Service, plugin_pb2_grpc.StarterServicer):
    @_guarded
    def Start(self, request: plugin_pb2.StartRequest, context: grpc.ServicerContext) -> plugin_pb2.StartResponse:
        self.session.start()
        return plugin_pb2.StartResponse()


class _Validator(_Service, plugin_pb2_grpc.ValidatorServicer):
    @_guarded
    def TestSecret(
        self, request: plugin_pb2.TestSecretRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.TestSecretResponse:
        value = Value(request.value.decode("utf-8", "surrogateescape"))
        with called(self.session.hosts):
            result = _typed(TestResult, _settled(self.plugin.test_secret(request.name, value), context))
        return plugin_pb2.TestSecretResponse(ok=result.ok, message=result.message)


class _Menu(_Service, plugin_pb2_grpc.MenuServicer):
    @_guarded
    def MenuLinks(
        self, request: plugin_pb2.MenuLinksRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.MenuLinksResponse:
        who = read_actor(request.actor.json, request.actor.token)
        with called(self.session.hosts, who):
            links = [_typed(MenuLink, link) for link in _settled(self.plugin.menu_links(who.actor), context)]
        return plugin_pb2.MenuLinksResponse(
            links=[plugin_pb2.MenuLink(href=link.href, label=link.label) for link in links]
        )


class _Actors(_Service, plugin_pb2_grpc.ActorsServicer):
    @_guarded
    def ActorsFromIDs(
        self, request: plugin_pb2.ActorsFromIDsRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.ActorsFromIDsResponse:
        with called(self.session.hosts):
            actors = _settled(self.plugin.actors_from_ids(list(request.ids)), context)
        encoded = {str(id): encode_actor(actor) for id, actor in actors.items()}
        return plugin_pb2.ActorsFromIDsResponse(actors={id: actor for id, actor in encoded.items() if actor})


class _Authenticator(_Service, plugin_pb2_grpc.AuthenticatorServicer):
    @_guarded
    def ActorFromRequest(
        self, request: plugin_pb2.ActorFromRequestRequest, context: grpc.ServicerContext
    ) -> plugin_pb2.ActorFromRequestResponse:
        sent = RequestMeta(request.method, request.path, dict(request.headers))
        with called(self.session.hosts):
            actor = _settled(self.plugin.actor_from_request(sent), context)
        return plugin_pb2.ActorFromRequestResponse(actor_json=encode_actor(actor))


class _Http(_Service, plugin_pb2_grpc.HttpServicer):
    @_guarded
    def Listen(self, request: plugin_pb2.ListenRequest, context: grpc.ServicerContext) -> plugin_pb2.ListenResponse:
        self.session.listen(request.address, request.key, request.prefix)
        return plugin_pb2.ListenResponse()


# A method of the plugin, and the service that is offered when it is there.
_OPTIONAL: tuple[tuple[str, str, Callable[[Any, grpc.Server], None], type[_Service]], ...] = (
    ("start", "Starter", plugin_pb2_grpc.add_StarterServicer_to_server, _Starter),
    ("test_secret", "Validator", plugin_pb2_grpc.add_ValidatorServicer_to_server, _Validator),
    ("menu_links", "Menu", plugin_pb2_grpc.add_MenuServicer_to_server, _Menu),
    ("actors_from_ids", "Actors", plugin_pb2_grpc.add_ActorsServicer_to_server, _Actors),
    ("actor_from_request", "Authenticator", plugin_pb2_grpc.add_AuthenticatorServicer_to_server, _Authenticator),
    ("serve_http", "Http", plugin_pb2_grpc.add_HttpServicer_to_server, _Http),
)

T = TypeVar("T")


def _typed(wanted: type[T], value: object) -> T:
    if not isinstance(value, wanted):
        raise TypeError(f"expected a {wanted.__name__}, not {type(value).__name__}")
    return value


def _secret(declared: Secret) -> plugin_pb2.Secret:
    secret = _typed(Secret, declared)
    return plugin_pb2.Secret(
        name=secret.name,
        description=secret.description or "",
        obtain_url=secret.obtain_url or "",
        obtain_label=secret.obtain_label or "",
        pattern=secret.pattern or "",
        example=secret.example or "",
        multiline=secret.multiline,
        redact=None if secret.redact is None else _redact(secret.redact),
    )


def _redact(redact: Redact) -> plugin_pb2.Redact:
    return plugin_pb2.Redact(prefix=redact.prefix, suffix=redact.suffix)


def _health() -> grpc.GenericRpcHandler:
    """grpc.health.v1, by which the host probes the plugin."""

    def check(request: wire_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> wire_pb2.HealthCheckResponse:
        if request.service not in _HEALTH_SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return wire_pb2.HealthCheckResponse(status=wire_pb2.HealthCheckResponse.SERVING)

    return _handlers("grpc.health.v1.Health", "Check", check, wire_pb2.HealthCheckRequest, wire_pb2.HealthCheckResponse)


def _controller(session: Session) -> grpc.GenericRpcHandler:
    """plugin.GRPCController, by which go-plugin ends a plugin."""

    def shutdown(request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        context.add_callback(session.leave)  # after the answer
        return empty_pb2.Empty()

    return _handlers("plugin.GRPCController", "Shutdown", shutdown, empty_pb2.Empty, empty_pb2.Empty)


def _handlers(
    service: str, method: str, handler: Callable[..., Any], request: Any, response: Any
) -> grpc.GenericRpcHandler:
    call = grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )
    return grpc.method_handlers_generic_handler(service, {method: call})
