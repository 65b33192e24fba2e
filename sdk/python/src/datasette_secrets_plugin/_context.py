"""What belongs to one call of the host: the host itself, and who is signed in."""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

if TYPE_CHECKING:
    from ._host import AsyncHost, Host

# Actor is who is signed in at the host: a dictionary, usually with an "id".
Actor: TypeAlias = "dict[str, Any]"


class Claim(TypedDict):
    """On whose behalf a secret is asked for, and what proves it to the host.

    The keys are those of the host's messages.
    """

    actor_id: str
    actor_token: str


@dataclass(frozen=True)
class SignedIn:
    """Who is signed in, and the host's proof of it."""

    actor: Actor | None = None
    actor_id: str = ""
    token: str = ""


@dataclass(frozen=True)
class Hosts:
    """The two views of one host."""

    plain: Host
    awaited: AsyncHost


@dataclass(frozen=True)
class _Call:
    hosts: Hosts
    who: SignedIn


_current: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("datasette_secrets_call", default=None)


def current_host() -> Host:
    """Return the host that calls one of the optional methods.

    They may be called before start has come far, which is given a host as its
    argument. It is a RuntimeError to ask for it anywhere else; a thread that a
    method begins is such a place.
    """
    return _call().hosts.plain


def current_async_host() -> AsyncHost:
    """Return the host for an optional method that is an async function, as current_host does."""
    return _call().hosts.awaited


def current_actor() -> Actor | None:
    """Return who is signed in.

    That is who sent the request that serve_http answers, or who looks at the
    menu that menu_links is for. It is None for nobody, and anywhere else.
    """
    call = _current.get()
    return call.who.actor if call else None


@contextlib.contextmanager
def called(hosts: Hosts, who: SignedIn = SignedIn()) -> Iterator[None]:
    """Make this the current call within a with statement."""
    reset = _current.set(_Call(hosts, who))
    try:
        yield
    finally:
        _current.reset(reset)


def claim(actor_id: str | None) -> Claim:
    """Say on whose behalf to ask, and prove it where the host gave a proof.

    Without an id that is the current actor. The id of anybody else is the
    plugin's own word, and goes without a proof.
    """
    call = _current.get()
    if call is not None and (not actor_id or actor_id == call.who.actor_id):
        return Claim(actor_id=call.who.actor_id, actor_token=call.who.token)
    return Claim(actor_id=actor_id or "", actor_token="")


def read_actor(text: bytes, token: str) -> SignedIn:
    """Read an actor as it crosses from the host: nothing for nobody."""
    return signed_in(json.loads(text), exactly(text), token) if text else SignedIn()


def signed_in(actor: object, exact: Any, token: str) -> SignedIn:
    """Say who is signed in. exact is the actor as exactly reads it."""
    checked = _checked(actor)
    if not checked:
        return SignedIn()
    id = exact.get("id")
    return SignedIn(checked, str(id) if isinstance(id, (str, bool)) else "", token)


def exactly(text: bytes) -> Any:
    """Read JSON with its numbers as texts.

    The host compares an actor's id with its proof as it stands there: 1e3 is
    another id than 1000.0, which Python makes of it.
    """
    return json.loads(text, parse_int=str, parse_float=str)


def encode_actor(actor: object) -> bytes:
    """Write an actor for the host; nobody is empty."""
    checked = _checked(actor)
    return b"" if checked is None else json.dumps(checked, allow_nan=False).encode()


def _checked(actor: Any) -> Actor | None:
    if actor is not None and not isinstance(actor, dict):
        raise TypeError(f"an actor must be a dictionary, not {type(actor).__name__}")
    return actor


def _call() -> _Call:
    call = _current.get()
    if call is None:
        raise RuntimeError("there is a current host only while it calls a method of the plugin")
    return call
