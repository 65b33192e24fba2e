"""The header by which the host signs its requests to the plugin's own pages.

The format is in pluginapi/proto/plugin.proto, at ListenRequest.key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from ._context import Actor, SignedIn, exactly, signed_in

HEADER = "Datasette-Secrets-Actor"


def read_header(text: str, key: bytes, method: str, path: str, now: float) -> SignedIn | None:
    """Return the sender of a request, or None unless the host sent exactly this one.

    path has the query. now is in seconds since 1970.
    """
    payload, _, mac = text.partition(".")
    wanted = _encode(hmac.new(key, payload.encode("utf-8", "replace"), hashlib.sha256).digest())
    if not hmac.compare_digest(mac.encode("utf-8", "replace"), wanted):
        return None
    try:
        data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        fields, exact = json.loads(data), exactly(data)
        token, expires, bound_to = fields["token"], fields["expires"], (fields["method"], fields["path"])
        sender = signed_in(fields["actor"], exact["actor"], token)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if bound_to != (method, path) or type(expires) not in (int, float) or not now <= expires:
        return None
    return sender if isinstance(token, str) else None


def write_header(key: bytes, actor: Actor | None, token: str, method: str, path: str, expires: float) -> str:
    """Sign a request as the host does. Only tests have to."""
    fields = {"actor": actor, "token": token, "method": method, "path": path, "expires": int(expires)}
    payload = _encode(json.dumps(fields).encode())
    return f"{payload.decode()}.{_encode(hmac.new(key, payload, hashlib.sha256).digest()).decode()}"


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
