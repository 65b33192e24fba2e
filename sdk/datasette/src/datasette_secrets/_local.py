"""Secrets in a table of one of Datasette's databases, encrypted with Fernet."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet

MAX_NOTE_LENGTH = 100  # characters

SCHEMA = """
create table if not exists datasette_secrets (
    id integer primary key,
    name text not null,
    note text,
    version integer not null default 1,
    encrypted blob,
    encryption_key_name text not null,
    created_at text,
    created_by text,
    updated_at text,
    updated_by text,
    deleted_at text,
    deleted_by text,
    last_used_at text,
    last_used_by text
);
"""


def get_database(datasette: Any) -> Any:
    """The database of Datasette that holds the table."""
    name = (datasette.plugin_config("datasette-secrets") or {}).get("database") or "_internal"
    return datasette.get_internal_database() if name == "_internal" else datasette.get_database(name)


async def create_table(datasette: Any) -> None:
    """Make the table if it is missing."""
    await get_database(datasette).execute_write(SCHEMA)


async def read(datasette: Any, key: str, name: str, actor_id: Any) -> str | None:
    """The value of a secret, whose use is noted beside it; None without one.

    A table that is missing or locked counts as no value. A key that does not
    fit is cryptography's InvalidToken.
    """
    from datasette.utils import sqlite3

    db = get_database(datasette)
    try:
        row = await latest(db, name)
    except sqlite3.OperationalError:
        return None
    if row is None:
        return None
    text: bytes = Fernet(key.encode()).decrypt(row["encrypted"])
    await db.execute_write(
        "update datasette_secrets set last_used_at = datetime('now'), last_used_by = ? where id = ?",
        (actor_id or None, row["id"]),
    )
    return text.decode()


async def latest(db: Any, name: str) -> Any:
    """The row with the newest version of a secret, or None."""
    found = await db.execute("select * from datasette_secrets where name = ? order by version desc limit 1", (name,))
    return found.first()


async def newest(db: Any) -> list[dict[str, Any]]:
    """What is stored: for each secret its newest version, by name."""
    found = await db.execute(
        """
        select name, note, version, updated_at, updated_by from datasette_secrets as stored
        where version = (select max(version) from datasette_secrets where name = stored.name)
        group by name
        order by name
        """
    )
    return [dict(row) for row in found.rows]


async def add_version(db: Any, name: str, encrypted: bytes, note: str, actor_id: Any) -> None:
    """Store a new version of a secret."""
    # One statement, so that another Datasette on the file never gets the same number.
    await db.execute_write(
        """
        insert into datasette_secrets (
            name, version, note, encrypted, encryption_key_name, created_at, created_by, updated_at, updated_by
        )
        select :name, coalesce(max(version), 0) + 1, :note, :encrypted, 'default',
            datetime('now'), :actor, datetime('now'), :actor
        from datasette_secrets where name = :name
        """,
        {"name": name, "note": note, "encrypted": encrypted, "actor": actor_id},
    )


async def change_note(db: Any, row_id: int, note: str, actor_id: Any) -> None:
    """Change the note of a stored version."""
    await db.execute_write(
        "update datasette_secrets set note = ?, updated_at = datetime('now'), updated_by = ? where id = ?",
        (note, actor_id, row_id),
    )
