"""How a host is reached: its address, its answers, and when to ask again.

What is common to the clients of threads and of event loops is here, as functions
without input or output, and so are the two loops that ask.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import re
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from ._errors import ConfigurationError, HostUnavailable, SecretsError, error_of

API = "/-/api/v1"
TIMEOUT = 5.0  # seconds, for a question and all its repetitions

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=64, keepalive_expiry=30)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries


@dataclass(frozen=True)
class Address:
    """Where a host is and what it knows this client by."""

    host: str  # as configured
    url: str  # without a slash at the end
    socket: str | None  # path of the unix socket, if it is one
    token: str = field(repr=False)
    timeout: float = TIMEOUT


def address_of(host: str, token: str, timeout: float = TIMEOUT) -> Address:
    """Check what is configured. A ConfigurationError says what to write instead."""
    token = token.strip()
    if not token:
        raise ConfigurationError(
            'the client token is empty; "datasette-secrets client add NAME" on the host prints one'
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the client token is not one line of letters and digits")
    host = host.strip()
    if host.startswith(("/", "unix:")):
        return Address(host, "http://localhost", host.removeprefix("unix:"), token, timeout)
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(f"the host {host!r} is neither an https:// URL nor the path of a unix socket")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ConfigurationError(
            f"the host {host!r} would get the client token without encryption; use https:// or a unix socket"
        )
    return Address(host, host.rstrip("/"), None, token, timeout)


def _is_here(hostname: str) -> bool:
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def is_name(name: object) -> bool:
    """Whether a host can have a secret of that name, and a URL can say it."""
    return isinstance(name, str) and _name.fullmatch(name) is not None and name not in (".", "..")


_name = re.compile(r"[A-Za-z0-9_.-]{1,255}")


def path_of(name: str) -> str:
    """The address of a secret below that of the API."""
    return "/secrets/" + quote(name, safe="")


@dataclass(frozen=True)
class Question:
    """One request to the API."""

    method: str
    path: str  # below the API
    actor: str | None = None
    body: Any = None  # sent as JSON

    def arguments(self, address: Address) -> dict[str, Any]:
        """What httpx wants to know."""
        arguments: dict[str, Any] = {
            "method": self.method,
            "url": address.url + API + self.path,
            "headers": {"Authorization": "Bearer " + address.token, "Accept": "application/json"},
            "params": {"actor": self.actor} if self.actor else None,
        }
        if self.body is not None:
            arguments["json"] = self.body
        return arguments


def answer_of(response: httpx.Response) -> Any:
    """What the host answered, or its error."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    if not isinstance(body, dict) or body.get("ok") is not False:
        raise HostUnavailable(
            f"what answers at the host's address is no datasette-secrets host: status {response.status_code}"
        )
    raise error_of(str(body.get("code", "")), str(body.get("error", "")), response.status_code)


class Patience:
    """When to ask a host again, within the address's timeout.

    down are the URLs of hosts that did not answer the last time. Waiting for a
    host that is being restarted is worth it once; while it is known to be down,
    each question is asked once, so that pages stay quick.
    """

    def __init__(self, address: Address, down: set[str]) -> None:
        self._address, self._down = address, down
        self._end = time.monotonic() + address.timeout
        self._pause = _FIRST_PAUSE
        self._again = address.url not in down

    def left(self) -> float:
        """Seconds until the end, and at least something to try with."""
        return max(self._end - time.monotonic(), 0.001)

    def answered(self) -> None:
        """Take note that the host is there."""
        self._down.discard(self._address.url)

    def no_answer(self, error: Exception) -> float:
        """What pause does, for a host that did not answer."""
        try:
            return self.pause(no_answer(self._address, error))
        except SecretsError:
            self._down.add(self._address.url)
            raise

    def pause(self, problem: SecretsError, response: httpx.Response | None = None) -> float:
        """Seconds to wait before asking again. It raises the problem if waiting is of no use."""
        passing = isinstance(problem, HostUnavailable) and problem.code in ("", "unavailable", "rate_limited")
        wait = self._pause * random.uniform(0.5, 1)
        if response is not None:
            wait = max(wait, _retry_after(response))
        if not passing or not self._again or wait >= self._end - time.monotonic():
            raise problem
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return wait


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(float(response.headers.get("Retry-After", 0)), 0)
    except ValueError:
        return 0


def no_answer(address: Address, error: Exception) -> HostUnavailable:
    """The error for a host that did not answer."""
    # The type of the error and nothing more: its text may have parts of the request.
    late = isinstance(error, (httpx.TimeoutException, asyncio.TimeoutError))
    what = "does not answer in time" if late else "cannot be reached"
    return HostUnavailable(f"the host at {address.host} {what} ({type(error).__name__})")


_NO_ANSWER = (httpx.TransportError, OSError, asyncio.TimeoutError)


class AsyncConnections:
    """Pooled connections for event loops, of which each has its own."""

    def __init__(self) -> None:
        self._pools: weakref.WeakKeyDictionary[Any, dict[str, httpx.AsyncClient]] = weakref.WeakKeyDictionary()
        self._down: set[str] = set()

    def client(self, address: Address) -> httpx.AsyncClient:
        """The connections of the running loop to a host."""
        pool = self._pools.setdefault(asyncio.get_running_loop(), {})
        if address.host not in pool:
            transport = httpx.AsyncHTTPTransport(uds=address.socket, limits=_LIMITS, verify=_verify(address))
            pool[address.host] = httpx.AsyncClient(transport=transport, trust_env=False)
        return pool[address.host]

    async def ask(self, address: Address, question: Question) -> Any:
        """What the host answers, within the address's timeout."""
        patience = Patience(address, self._down)
        while True:
            left = patience.left()
            request = self.client(address).request(**question.arguments(address), timeout=left)
            try:
                response = await asyncio.wait_for(request, left)
            except _NO_ANSWER as error:
                wait = patience.no_answer(error)
            else:
                patience.answered()
                try:
                    return answer_of(response)
                except SecretsError as problem:
                    wait = patience.pause(problem, response)
            await asyncio.sleep(wait)

    async def fetch(self, address: Address, path: str, **request: Any) -> httpx.Response:
        """A page of the host, asked for once and without the token."""
        try:
            fetched = self.client(address).request(url=address.url + path, timeout=address.timeout, **request)
            return await asyncio.wait_for(fetched, address.timeout)
        except _NO_ANSWER as error:
            raise no_answer(address, error) from None

    async def close(self) -> None:
        """Close the connections of the running loop."""
        for client in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()


class Connections:
    """Pooled connections for threads. A process made by fork has its own."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, httpx.Client] = {}
        self._down: set[str] = set()

    def client(self, address: Address) -> httpx.Client:
        """The connections of this process to a host."""
        with self._lock:
            if address.host not in self._clients:
                transport = httpx.HTTPTransport(uds=address.socket, limits=_LIMITS, verify=_verify(address))
                self._clients[address.host] = httpx.Client(transport=transport, trust_env=False)
            return self._clients[address.host]

    def ask(self, address: Address, question: Question) -> Any:
        """What the host answers, within the address's timeout."""
        patience = Patience(address, self._down)
        while True:
            try:
                response = self.client(address).request(**question.arguments(address), timeout=patience.left())
            except _NO_ANSWER as error:
                wait = patience.no_answer(error)
            else:
                patience.answered()
                try:
                    return answer_of(response)
                except SecretsError as problem:
                    wait = patience.pause(problem, response)
            time.sleep(wait)


def _verify(address: Address) -> Any:
    # Reading all certificates takes a while. SSL_CERT_FILE names others.
    return httpx.create_ssl_context() if address.url.startswith("https:") else False
