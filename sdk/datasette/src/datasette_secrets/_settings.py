"""What plugins.datasette-secrets in Datasette's configuration says about a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ._errors import ConfigurationError
from ._http import TIMEOUT, Address, address_of

_units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_longest_timeout = 60.0  # seconds
_longest_offline = 7 * 86400.0


@dataclass(frozen=True)
class HostSettings:
    """A host instead of a local database."""

    address: Address
    proxy: bool  # its pages are shown under Datasette's own address
    pages: str  # URL of its pages in a browser, without a slash at the end; empty with proxy
    offline: float  # seconds for which a value may stand in while the host is down; 0 for none


def host_settings(config: Any) -> HostSettings | None:
    """Read them, after Datasette has put values in the place of $env and $file.

    None without host and token: then a local database is meant. One without the
    other is a mistake, not a database.
    """
    if not isinstance(config, dict) or not ("host" in config or "token" in config):
        return None
    host, token = config.get("host"), config.get("token")
    if not host or not isinstance(host, str):
        raise _wrong("host", "is missing or empty; it is the host's https:// URL or the path of its unix socket")
    if not token or not isinstance(token, str):
        raise _wrong("token", 'is missing or empty; write {"$env": "NAME"} or {"$file": "path"}')
    timeout = _seconds("timeout", config.get("timeout"), TIMEOUT, _longest_timeout)
    try:
        address = address_of(host, token, timeout)
    except ConfigurationError as error:
        raise ConfigurationError(f"plugins.datasette-secrets: {error}") from None
    proxy = _proxy(config.get("mode"))
    return HostSettings(address, proxy, "" if proxy else _pages(config.get("pages"), address), _offline(config))


def _proxy(mode: Any) -> bool:
    if mode not in (None, "redirect", "proxy"):
        raise _wrong("mode", "is neither redirect nor proxy")
    return bool(mode == "proxy")


def _pages(pages: Any, address: Address) -> str:
    if pages is None:
        return "" if address.socket else address.url
    parts = urlsplit(pages) if isinstance(pages, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong("pages", "is not the URL of the host's pages, such as https://secrets.example.com")
    return str(pages).rstrip("/")


def _offline(config: dict[str, Any]) -> float:
    offline = config.get("offline")
    if offline is None:
        return 0
    if not isinstance(offline, dict) or set(offline) != {"max-age"}:
        raise _wrong("offline", "is not of the form {max-age: 1h}")
    return _seconds("offline.max-age", offline["max-age"], 0, _longest_offline)


def _seconds(key: str, given: Any, otherwise: float, most: float) -> float:
    if given is None:
        return otherwise
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(given)) if not isinstance(given, bool) else None
    seconds = float(found[1]) * _units[found[2] or "s"] if found else 0
    if not 0 < seconds <= most:
        raise _wrong(key, f"is not a time such as 10s or 5m, of at most {most:.0f} seconds")
    return seconds


def _wrong(key: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"plugins.datasette-secrets.{key} {what}")
