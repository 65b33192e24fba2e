"""Secrets of a host: what is declared to it, and what it is asked for."""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ._declared import EXAMPLE, Secret, get_secrets
from ._errors import HostUnavailable, SecretDenied, SecretNotFound, SecretsError, TokenRefused
from ._http import Address, AsyncConnections, Question, is_name, path_of
from ._offline import Offline
from ._settings import HostSettings

logger = logging.getLogger("datasette_secrets")

_connections = AsyncConnections()
_longest = {"description": 4000, "obtain_label": 200, "obtain_url": 2000}  # characters that a host takes
_most = 1000  # declarations
_longest_request = 1.0  # seconds for which one request may go without asking again
_look_again = 10.0  # seconds between looks at what plugins declare, while no secret is read


@dataclass
class _Told:
    """What a Datasette told its host, and said about that in its log."""

    host: str
    declarations: list[dict[str, str]] | None = None
    logged: set[str] = field(default_factory=set)
    looked: float = 0  # time.monotonic() of the last look
    looking: asyncio.Task[None] | None = None

    def log_once(self, text: str) -> None:
        if text not in self.logged:
            self.logged.add(text)
            logger.warning("%s", text)


def _told(datasette: Any, settings: HostSettings) -> _Told:
    # On the Datasette, of which a process may have many.
    told: _Told | None = getattr(datasette, "_datasette_secrets_told", None)
    if told is None or told.host != settings.address.host:
        told = datasette._datasette_secrets_told = _Told(settings.address.host)
    return told


async def read(datasette: Any, settings: HostSettings, declared: list[Secret], name: str, actor_id: Any) -> str | None:
    """The value of a declared secret, or None if the host says that there is none for this client and actor.

    A host that cannot say is a HostUnavailable, unless a value was kept that may
    stand in; one that does not know the token is a TokenRefused.
    """
    actor = str(actor_id) if actor_id else None
    seen = _seen_in_this_request()
    before = seen.get((settings.address, name, actor))
    if before and time.monotonic() - before[0] < _longest_request:
        return before[1]
    value = await _read(datasette, settings, declared, name, actor)
    seen[settings.address, name, actor] = time.monotonic(), value
    return value


async def _read(
    datasette: Any, settings: HostSettings, declared: list[Secret], name: str, actor: str | None
) -> str | None:
    told = _told(datasette, settings)
    kept = Offline(datasette, settings.address, settings.offline) if settings.offline else None
    try:
        await _declare(settings, told, declared)
        if not is_name(name):
            return None  # as the log says
        value = await _ask(settings, told, name, actor)
    except HostUnavailable as problem:
        old = await kept.find(name, actor) if kept else None
        if old is None:
            raise
        told.log_once(f"{problem}; values that were kept for this stand in")
        return old
    except TokenRefused:
        if kept:
            await kept.clear()
        raise
    except (SecretNotFound, SecretDenied) as problem:
        if kept:
            await kept.drop(name, actor)
        if problem.code != "not_set":
            told.log_once(f"{name} is not available to this Datasette: {problem} ({problem.code})")
        return None
    if kept:
        await kept.keep(name, actor, value)
    return value


_Seen = dict[tuple[Address, str, str | None], tuple[float, str | None]]
_request: ContextVar[tuple[Any, _Seen] | None] = ContextVar("datasette_secrets_request", default=None)


def _seen_in_this_request() -> _Seen:
    """What the request that Datasette answers just now has read: when, and what.

    Plugins ask for the same key dozens of times while one page is made. That is
    one use. Outside of requests this is empty, and a task that outlives its
    request does not keep what that read.
    """
    try:
        # Datasette's own memory for one request.
        from datasette.permissions import _permission_check_cache

        request = _permission_check_cache.get()
    except (ImportError, AttributeError):
        request = None
    if request is None:
        return {}
    known = _request.get()
    if known is None or known[0] is not request:
        known = (request, {})
        _request.set(known)
    return known[1]


async def _ask(settings: HostSettings, told: _Told, name: str, actor: str | None) -> str:
    question = Question("GET", path_of(name), actor)
    try:
        answer = await _connections.ask(settings.address, question)
    except SecretNotFound as problem:
        mine = [one for one in told.declarations or [] if one["name"] == name]
        if problem.code != "not_declared" or not mine:
            raise
        # Somebody with the same token declared something else, or the host has lost its database.
        await _connections.ask(settings.address, Question("POST", "/declarations", body={"declarations": mine}))
        answer = await _connections.ask(settings.address, question)
    return str(answer["value"])


async def declare_at_start(datasette: Any, settings: HostSettings) -> None:
    """Tell the host what the plugins need. A host that is down is told later."""
    try:
        await _declare(settings, _told(datasette, settings), await get_secrets(datasette))
    except SecretsError as problem:
        logger.warning("declaring secrets: %s; it is tried again when one is read", problem)
    except Exception as problem:  # of somebody else's plugin, which may not be ready yet
        logger.warning("declaring secrets: a plugin's register_secrets failed with %s", type(problem).__name__)
    finally:
        # The loop in which Datasette starts is not always the one in which it serves.
        await _connections.close()


def look_again(datasette: Any, settings: HostSettings) -> None:
    """See in the background, if that was not done lately, whether plugins declare something else now."""
    told = _told(datasette, settings)
    if time.monotonic() - told.looked < _look_again or told.looking and not told.looking.done():
        return
    told.looked = time.monotonic()

    async def look() -> None:
        try:
            await _declare(settings, told, await get_secrets(datasette))
        except Exception as problem:
            told.log_once(
                f"declaring secrets: {problem if isinstance(problem, SecretsError) else type(problem).__name__}"
            )

    told.looking = asyncio.create_task(look())


async def _declare(settings: HostSettings, told: _Told, declared: list[Secret]) -> None:
    declarations = _declarations(told, declared)
    if declarations == told.declarations:
        return
    await _connections.ask(settings.address, Question("PUT", "/declarations", body={"declarations": declarations}))
    told.declarations = declarations


def _declarations(told: _Told, declared: list[Secret]) -> list[dict[str, str]]:
    """The declarations as a host takes them."""
    others = [secret for secret in declared if secret.name != EXAMPLE]
    found = []
    for secret in (others or declared)[:_most]:
        if not is_name(secret.name):
            told.log_once(f"{secret.name!r} is no name that a host takes: letters, digits, _ . and - only")
            continue
        found.append({"name": secret.name, **_described(secret)})
    return found


def _described(secret: Secret) -> dict[str, str]:
    texts = {key: getattr(secret, key) for key in _longest}
    if texts["obtain_url"] and urlsplit(str(texts["obtain_url"])).scheme not in ("http", "https"):
        texts["obtain_url"] = None
    return {key: str(text)[: _longest[key]] for key, text in texts.items() if text}


async def proxied(settings: HostSettings, **request: Any) -> Any:
    """A page of the host, as httpx has it."""
    return await _connections.fetch(settings.address, **request)
