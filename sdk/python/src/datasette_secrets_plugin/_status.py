"""How an error crosses between plugin and host.

It crosses as a gRPC code and a google.rpc.ErrorInfo that names its class. The
cause of an error never crosses. The table is that of the host, which has it in
internal/pluginwire.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, NoReturn

import grpc

from ._errors import (
    Denied,
    IntegrityError,
    Invalid,
    NotApproved,
    NotConfigured,
    NotDeclared,
    NotFound,
    NotSet,
    Sealed,
    SecretsError,
    Unavailable,
)
from ._pb import wire_pb2

DOMAIN = "secrets.plugin"

_DETAILS = "grpc-status-details-bin"
_INFO_TYPE = "google.rpc.ErrorInfo"
_MAX_MESSAGE = 1024  # characters of a message that the other side chose


class Row(NamedTuple):
    error: type[SecretsError]
    code: grpc.StatusCode
    reason: str
    text: str


# A class that is also another one comes before it.
TABLE = (
    Row(NotSet, grpc.StatusCode.NOT_FOUND, "SECRET_NOT_SET", "secret is not set"),
    Row(
        NotDeclared,
        grpc.StatusCode.PERMISSION_DENIED,
        "SECRET_NOT_DECLARED",
        "permission denied: secret not declared by this plugin",
    ),
    Row(
        NotApproved,
        grpc.StatusCode.PERMISSION_DENIED,
        "GRANT_PENDING",
        "permission denied: an administrator has to approve this first",
    ),
    Row(Denied, grpc.StatusCode.PERMISSION_DENIED, "ACTOR_DENIED", "permission denied"),
    Row(Sealed, grpc.StatusCode.FAILED_PRECONDITION, "HOST_SEALED", "host is sealed"),
    Row(
        NotConfigured,
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOT_CONFIGURED",
        "datasette-secrets has not been configured",
    ),
    Row(
        IntegrityError,
        grpc.StatusCode.DATA_LOSS,
        "DECRYPT_FAILED",
        "stored secret cannot be read with the configured keys",
    ),
    Row(Unavailable, grpc.StatusCode.UNAVAILABLE, "HOST_UNAVAILABLE", "temporarily unavailable"),
    Row(Invalid, grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST", "invalid request"),
    Row(NotFound, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "not found"),
)


def received(doing: str, error: grpc.RpcError) -> SecretsError:
    """Turn the error of a call to the host into one of this package."""
    code = error.code()
    message = clean(error.details() or "")
    row = _row(error)
    if row is not None:
        return row.error(f"{doing}: {message if row.error is Invalid else row.text}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{doing}: temporarily unavailable: no answer in time")
    if code == grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"{doing}: temporarily unavailable: {message}")
    if code == grpc.StatusCode.CANCELLED:
        return Unavailable(f"{doing}: temporarily unavailable: the plugin is stopping")
    if code == grpc.StatusCode.INTERNAL:
        return SecretsError(f"{doing}: internal error")
    return SecretsError(f"{doing}: {code.name}: {message}")


def error_of(doing: str, reason: str) -> SecretsError:
    """Make the error that a reason stands for."""
    row = next((row for row in TABLE if row.reason == reason), None)
    return row.error(f"{doing}: {row.text}") if row else SecretsError(f"{doing}: {clean(reason) or 'internal error'}")


def reason_of(error: SecretsError) -> str:
    """Name the class of an error, as it crosses; empty for what does not."""
    return next((row.reason for row in TABLE if isinstance(error, row.error)), "")


def refuse(context: grpc.ServicerContext, error: BaseException) -> NoReturn:
    """End a call of the host with what it may know of an error: its class."""
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):  # two classes before Python 3.11
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "deadline exceeded")
    row = next((row for row in TABLE if isinstance(error, row.error)), None)
    if row is None:
        context.abort(grpc.StatusCode.INTERNAL, "internal error")
    # Only the message of Invalid is written for whoever asked.
    message = clean(str(error)) if row.error is Invalid else row.text
    context.set_trailing_metadata(((_DETAILS, _details(row, message)),))
    context.abort(row.code, message)


def clean(message: str) -> str:
    """Make a message that came from elsewhere fit for a log line."""
    return "".join(c if c.isprintable() else " " for c in message[:_MAX_MESSAGE])


def _row(error: grpc.RpcError) -> Row | None:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == _DETAILS:
            reason = _reason(value)
            return next((row for row in TABLE if row.reason == reason), None)
    return None


def _reason(details: bytes) -> str:
    try:
        for detail in wire_pb2.Status.FromString(details).details:
            if detail.type_url.rpartition("/")[2] == _INFO_TYPE:
                info = wire_pb2.ErrorInfo.FromString(detail.value)
                if info.domain == DOMAIN:
                    return str(info.reason)
    except Exception:  # protobuf's parsers differ in what they raise
        pass
    return ""


def _details(row: Row, message: str) -> bytes:
    status = wire_pb2.Status(code=row.code.value[0], message=message)
    info = wire_pb2.ErrorInfo(reason=row.reason, domain=DOMAIN)
    status.details.add(type_url=f"type.googleapis.com/{_INFO_TYPE}", value=info.SerializeToString())
    return bytes(status.SerializeToString())
