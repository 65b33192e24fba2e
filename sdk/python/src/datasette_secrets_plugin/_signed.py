"""The header by which the host signs its requests to the plugin's own pages.

The format is in pluginapi/proto/plugin.proto, at ListenRequest.key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import NamedTuple

from ._context import Actor

HEADER = "Datasette-Secrets-Actor"


class Sender(NamedTuple):
    """Who sent a request, and the host's proof of it."""

    actor: Actor | None
    token: str


def read_header(text: str, key: bytes, method: str, path: str, now: float) -> Sender | None:
    """Return the sender of a request, or None unless the host sent exactly this one.

    path has the query. now is in seconds since 1970.
    """
    payload, _, mac = text.partition(".")
    wanted = _encode(hmac.new(key, payload.encode("utf-8", "replace"), hashlib.sha256).digest())
    if not hmac.compare_digest(mac.encode("utf-8", "replace"), wanted):
        return None
    try:
        fields = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        actor, token, expires = fields["actor"], fields["token"], fields["expires"]
        bound_to = fields["method"], fields["path"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if bound_to != (method, path) or type(expires) not in (int, float) or not now <= expires:
        return None
    if not isinstance(actor, (dict, type(None))) or not isinstance(token, str):
        return None
    return Sender(actor or None, token)


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
