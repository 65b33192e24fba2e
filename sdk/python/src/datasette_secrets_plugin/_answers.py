"""What a host takes from a plugin's optional methods, for tests.

The rules and numbers are those of internal/pluginwire.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence

from ._context import Actor
from ._hooks import MenuLink, TestResult

MAX_LINKS = 20  # of one plugin in a menu
MAX_LABEL = 100  # bytes
MAX_HREF = 2000  # bytes
MAX_ACTOR = 16 << 10  # bytes of JSON
MAX_ACTOR_ID = 255  # bytes
MAX_MESSAGE = 300  # bytes


def check_result(result: TestResult, value: str) -> None:
    if value and value in result.message:
        raise AssertionError("the message holds the value; it must never leave the plugin")
    if _size(result.message) > MAX_MESSAGE:
        raise AssertionError(f"the message has {_size(result.message)} bytes, of which a host shows {MAX_MESSAGE}")


def check_links(links: Sequence[MenuLink]) -> None:
    if len(links) > MAX_LINKS:
        raise AssertionError(f"{len(links)} links, of which a host shows {MAX_LINKS}")
    for link in links:
        if wrong := _wrong_link(link.href, link.label):
            raise AssertionError(f"{link}: {wrong}")


def _wrong_link(href: str, label: str) -> str | None:
    if not label.strip() or _size(label) > MAX_LABEL or not label.isprintable():
        return f"a label must be 1 to {MAX_LABEL} bytes of printable text"
    if _size(href) > MAX_HREF:
        return f"an address must be at most {MAX_HREF} bytes"
    if " " in href or "\\" in href or not href.isprintable():
        return "an address must not contain spaces, backslashes and what is not printable"
    if href.startswith("/") and not href.startswith("//"):
        return None
    url = urllib.parse.urlsplit(href)
    if url.scheme in ("http", "https") and url.hostname and url.username is None:
        return None
    return "an address must be a path that begins with one slash, or an http or https URL"


def check_known(id: str, actor: Actor) -> None:
    _check_size(actor)
    if str(actor.get("id")) != id:
        raise AssertionError(f"the actor of {id!r}: its id must be the one that was asked for")


def check_sender(actor: Actor) -> None:
    _check_size(actor)
    id = actor.get("id")
    if not (isinstance(id, str) and 0 < _size(id) <= MAX_ACTOR_ID and id.isprintable() and id.strip() == id):
        raise AssertionError(
            f"the actor's id must be a text of 1 to {MAX_ACTOR_ID} printable bytes without spaces around it"
        )
    if id.lower() == "root":
        raise AssertionError("the actor cannot be root")
    if any(key.startswith("_") or key.lower().startswith("token") for key in actor):
        raise AssertionError("no key of the actor may begin with _ or with token")


def _check_size(actor: Actor) -> None:
    if len(json.dumps(actor).encode()) > MAX_ACTOR:
        raise AssertionError(f"an actor must be at most {MAX_ACTOR} bytes of JSON")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
