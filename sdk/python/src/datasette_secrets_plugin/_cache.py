"""Values that the host lets the plugin keep for a while."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from ._value import Value
from ._watch import Change, Observer

_MAX_KEPT = 1000  # values


class Key(NamedTuple):
    """For whom a value was read."""

    name: str
    actor_id: str
    proven: bool


class Mark(NamedTuple):
    """What was known of a secret's changes before it was read."""

    at: float
    openings: int
    changes: int


class Cache(Observer):
    """Keeps values for as long as the host allows, and only while it tells of changes.

    It observes a watch of all secrets. Whatever that watch may have missed is
    not kept: values are forgotten when it opens, breaks or says so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._openings = 0  # times that everything was forgotten
        self._changes: dict[str, int] = {}  # since then, by secret
        self._kept: dict[Key, tuple[Value, float]] = {}  # until when, by time.monotonic

    def get(self, key: Key) -> Value | None:
        with self._lock:
            value, until = self._kept.get(key, (None, 0.0))
            if value is not None and time.monotonic() >= until:
                del self._kept[key]
                return None
            return value

    def mark(self, name: str) -> Mark | None:
        """Say where the secret stands, before it is read."""
        with self._lock:
            return self._now(name) if self._is_open else None

    def put(self, key: Key, value: Value, max_age: int, before: Mark | None) -> None:
        """Keep a value for max_age seconds since it was asked for, unless it changed since."""
        with self._lock:
            now = self._now(key.name)
            if not self._is_open or before is None or before[1:] != now[1:] or now.at >= before.at + max_age:
                return
            for old in [old for old, (_, until) in self._kept.items() if now.at >= until]:
                del self._kept[old]
            if len(self._kept) >= _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (value, before.at + max_age)

    def opened(self) -> None:
        self._forget_all(is_open=True)

    def broke(self) -> None:
        self._forget_all(is_open=False)

    def changed(self, change: Change) -> None:
        if change.kind == "resync":
            self._forget_all(is_open=None)
            return
        with self._lock:
            self._changes[change.name] = self._changes.get(change.name, 0) + 1
            for key in [key for key in self._kept if key.name == change.name]:
                del self._kept[key]

    def _now(self, name: str) -> Mark:
        return Mark(time.monotonic(), self._openings, self._changes.get(name, 0))

    def _forget_all(self, is_open: bool | None) -> None:
        with self._lock:
            self._is_open = self._is_open if is_open is None else is_open
            self._openings += 1
            self._changes.clear()
            self._kept.clear()
