"""Read the secrets of a host in any Python program.

    from datasette_secrets.client import secrets

    SECRET_KEY = secrets["DJANGO_SECRET_KEY"]
    DEBUG_TOKEN = secrets.get("DEBUG_TOKEN", "")

DATASETTE_SECRETS_HOST is the host's URL or the path of its unix socket, and
DATASETTE_SECRETS_TOKEN the client token, or DATASETTE_SECRETS_TOKEN_FILE a file
with it. They are read when the first secret is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ._errors import (
    ConfigurationError,
    HostUnavailable,
    SecretDamaged,
    SecretDenied,
    SecretNotFound,
    SecretsError,
    TokenRefused,
)
from ._http import TIMEOUT, Address, Connections, Question, address_of, is_name, path_of

__all__ = [
    "ConfigurationError",
    "HostUnavailable",
    "SecretDamaged",
    "SecretDenied",
    "SecretNotFound",
    "Secrets",
    "SecretsError",
    "TokenRefused",
    "secrets",
]

_connections = Connections()


class Secrets(Mapping[str, str]):
    """The secrets that a client may read, by name, as os.environ has its variables.

    Every value comes from the host when it is asked for, and is recorded there
    as a use. Asking which secrets there are is no use. It may be shared by
    threads, and made before a fork.

    A name without a value for this client is a SecretNotFound, which is a
    KeyError. What else may fail is a SecretsError that is none: get with a
    default does not hide that the host is down.
    """

    def __init__(
        self,
        host: str | None = None,
        token: str | None = None,
        *,
        actor_id: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """host and token stand in for the environment; timeout is in seconds.

        actor_id says on whose behalf secrets are read, for the host's log.
        """
        self._host, self._token, self._actor, self._timeout = host, token, actor_id, timeout

    def __getitem__(self, name: str) -> str:
        if not is_name(name):
            raise SecretNotFound(f"no secret can be called {name!r}")
        answer = _connections.ask(self._address(), Question("GET", path_of(name), self._actor))
        return str(answer["value"])

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __bool__(self) -> bool:
        return True  # whether there are any is not worth a question to the host

    def __repr__(self) -> str:
        return f"<secrets of {self._host or os.environ.get('DATASETTE_SECRETS_HOST') or 'no host'}>"

    def _names(self) -> list[str]:
        found = _connections.ask(self._address(), Question("GET", "/secrets", self._actor))
        return [secret["name"] for secret in found["secrets"] if secret["set"]]

    def _address(self) -> Address:
        host = self._host or os.environ.get("DATASETTE_SECRETS_HOST")
        if not host:
            raise ConfigurationError("no host is configured; set DATASETTE_SECRETS_HOST to its URL or unix socket")
        return address_of(host, self._token or _token_from_environment(), self._timeout)


def _token_from_environment() -> str:
    token = os.environ.get("DATASETTE_SECRETS_TOKEN")
    path = os.environ.get("DATASETTE_SECRETS_TOKEN_FILE")
    if token:
        return token
    if not path:
        raise ConfigurationError(
            "no client token is configured; set DATASETTE_SECRETS_TOKEN, or DATASETTE_SECRETS_TOKEN_FILE to its file"
        )
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"reading the client token in {path}: {type(error).__name__}") from None


secrets = Secrets()
