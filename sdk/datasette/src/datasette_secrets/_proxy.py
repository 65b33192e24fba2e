"""The host's pages under Datasette's own address."""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote

from ._errors import HostUnavailable
from ._remote import proxied
from ._settings import HostSettings

PREFIX = "/-/secrets-host"  # below Datasette's base_url; a host whose base_url ends like this has all its links here

_most = 4 << 20  # bytes that a browser may send
_cookies = ("ds_actor", "ds_messages")
# What describes a request and its answer, and nothing that speaks of the connection, of other cookies or of a token.
_sent = ("accept", "accept-language", "content-type", "if-none-match", "range", "sec-fetch-site", "user-agent")
_returned = (
    "allow",
    "cache-control",
    "content-disposition",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "etag",
    "location",
    "permissions-policy",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "x-content-type-options",
    "x-frame-options",
)


def may_be_shown(path: str) -> bool:
    """Whether a path is that of a page: nothing that leads elsewhere when somebody tidies it, and not the API."""
    plain = unquote(unquote(path))
    segments = plain.replace("\\", "/").split("/")[1:]
    inner = segments[:-1]
    return ".." not in segments and "." not in segments and "" not in inner and segments[:2] != ["-", "api"]


def is_static(path: str) -> bool:
    """Whether a path is that of a style sheet or the like."""
    return re.fullmatch(r"/-/static/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", path) is not None


async def show(datasette: Any, settings: HostSettings, request: Any, path: str, send: Any) -> None:
    """Answer a request with a page of the host.

    Datasette has made sure that the request does not come from another site.
    Who is signed in is in the cookie, which both sign with the same secret.
    """
    body = await request.post_body()
    if len(body) > _most:
        await _send(send, 413, [], b"The request is too large")
        return
    if request.query_string:
        path += "?" + request.query_string
    try:
        answer = await proxied(settings, method=request.method, path=path, content=body, headers=_headers(request))
    except HostUnavailable as problem:
        await _send(send, 502, [(b"content-type", b"text/plain; charset=utf-8")], str(problem).encode())
        return
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.multi_items()]
    await _send(send, answer.status_code, [(n, v) for n, v in headers if n.decode() in _returned], answer.content)


def _headers(request: Any) -> dict[str, str]:
    headers = {name: request.headers[name] for name in _sent if name in request.headers}
    cookies = SimpleCookie()
    try:
        cookies.load(request.headers.get("cookie", ""))
    except CookieError:
        pass
    passed = [f"{name}={cookies[name].value}" for name in _cookies if name in cookies]
    if passed:
        headers["cookie"] = "; ".join(passed)
    token = request.headers.get("authorization", "")
    if token.startswith("Bearer dstok_"):
        headers["authorization"] = token
    headers["host"] = request.headers.get("host", "localhost")
    return headers


async def _send(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    # Sent here and not returned: Datasette would put its own messages over those of the host.
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
