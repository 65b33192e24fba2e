"""Values that stand in for a host that is down, if the configuration allows it.

They are in Datasette's internal database, encrypted with a key that is made of
the client token: who has the file and not the token has nothing. A token that
the host no longer accepts takes them away.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ._http import Address

_table = """
create table if not exists datasette_secrets_offline (
    id text primary key,
    encrypted blob not null
)
"""


class Offline:
    """The values kept for one host and client. max_age is in seconds."""

    def __init__(self, datasette: Any, address: Address, max_age: float) -> None:
        self._db = datasette.get_internal_database()
        self._max_age = int(max_age)
        self._host = address.host
        derived = HKDF(SHA256(), 32, None, b"datasette-secrets offline values").derive(address.token.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    async def keep(self, name: str, actor: str | None, value: str) -> None:
        """Keep what the host just answered."""
        # Name and actor are inside, so that nobody who writes the file can pass one value off as another.
        text = json.dumps([self._host, name, actor, value]).encode()
        await self._db.execute_write(_table)
        await self._db.execute_write(
            "insert or replace into datasette_secrets_offline (id, encrypted) values (?, ?)",
            (self._id(name, actor), self._fernet.encrypt(text)),
        )

    async def find(self, name: str, actor: str | None) -> str | None:
        """The value that is kept, or None if there is none or it is too old."""
        await self._db.execute_write(_table)
        found = await self._db.execute(
            "select encrypted from datasette_secrets_offline where id = ?", (self._id(name, actor),)
        )
        row = found.first()
        if row is None:
            return None
        try:
            host, for_name, for_actor, value = json.loads(self._fernet.decrypt(row["encrypted"], ttl=self._max_age))
        except (InvalidToken, ValueError):
            return None
        return str(value) if (host, for_name, for_actor) == (self._host, name, actor) else None

    async def drop(self, name: str, actor: str | None) -> None:
        """Forget a value that the host does not give any more."""
        await self._db.execute_write(_table)
        await self._db.execute_write("delete from datasette_secrets_offline where id = ?", (self._id(name, actor),))

    async def clear(self) -> None:
        """Forget everything."""
        await self._db.execute_write("drop table if exists datasette_secrets_offline")

    def _id(self, name: str, actor: str | None) -> str:
        return json.dumps([self._host, name, actor])
