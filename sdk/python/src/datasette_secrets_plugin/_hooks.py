"""What the optional methods of a plugin are given, and what they return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TestResult:
    """Tells whether a value works.

    message is optional: one sentence for the administrator, without the value.
    """

    __test__ = False  # the name is no invitation to pytest

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class MenuLink:
    """A link in the menu of every page.

    href is a path on the host, such as /-/plugins/weather/, or an http or https
    URL. label is its text.
    """

    href: str
    label: str


@dataclass(frozen=True)
class RequestMeta:
    """A request to the host, of which somebody has to say who sent it.

    path is escaped and without the query. headers are those that the
    administrator lets this plugin see, by their names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]
