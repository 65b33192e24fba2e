"""The pages on which people manage the secrets of a local database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet

from . import _local
from ._declared import from_environment, get_secrets


@dataclass
class _Form:
    """What somebody posted. Its repr, which tracebacks may show, lacks the value."""

    value: str = field(repr=False)
    note: str


async def show_index(datasette: Any, request: Any) -> Any:
    """The page of all secrets."""
    from datasette import Response

    declared = await get_secrets(datasette)
    environment = [secret for secret in declared if from_environment(secret.name)]
    overridden = {secret.name for secret in environment}
    rows = await _local.newest(_local.get_database(datasette))
    stored = [row for row in rows if row["name"] not in overridden]
    await _name_people(datasette, stored)
    known = overridden | {row["name"] for row in stored}
    page = await datasette.render_template(
        "secrets_index.html",
        {
            "existing_secrets": stored,
            "unset_secrets": [secret for secret in declared if secret.name not in known],
            "environment_secrets": environment,
        },
        request=request,
    )
    return Response.html(page)


async def _name_people(datasette: Any, rows: list[dict[str, Any]]) -> None:
    """Put names in the place of the ids of those who updated."""
    actors = await datasette.actors_from_ids({row["updated_by"] for row in rows if row["updated_by"]})
    for row in rows:
        actor = actors.get(row["updated_by"]) if row["updated_by"] else None
        if actor:
            row["updated_by"] = actor.get("username") or actor.get("name") or actor.get("id")


async def show_secret(datasette: Any, request: Any, key: str) -> Any:
    """The page of one secret, and what it posts. key encrypts new values."""
    name = request.url_vars["secret_name"]
    declared = {secret.name: secret for secret in await get_secrets(datasette)}
    row = await _local.latest(_local.get_database(datasette), name)
    if request.method == "POST":
        return await _change(datasette, request, key, name, row)
    from datasette import Response

    page = await datasette.render_template(
        "secrets_update.html",
        {
            "secret_name": name,
            "secret_details": declared.get(name),
            "current_secret": row,
            "max_note_length": _local.MAX_NOTE_LENGTH,
        },
        request=request,
    )
    return Response.html(page)


async def _change(datasette: Any, request: Any, key: str, name: str, row: Any) -> Any:
    from datasette import Forbidden, Response

    if request.actor is None:
        raise Forbidden("You must be signed in to change a secret")
    actor_id = request.actor.get("id")
    form = await _posted(request)
    db = _local.get_database(datasette)
    index = Response.redirect(datasette.urls.path("/-/secrets"))
    if len(form.note) > _local.MAX_NOTE_LENGTH:
        datasette.add_message(request, "Note is too long", datasette.ERROR)
        return Response.redirect(request.path)
    if form.value:
        encrypted = Fernet(key.encode()).encrypt(form.value.encode())
        await _local.add_version(db, name, encrypted, form.note, actor_id)
        datasette.add_message(request, f"Secret {name} updated")
        return index
    if row is None:
        datasette.add_message(request, "Secret is required", datasette.ERROR)
        return Response.redirect(request.path)
    await _local.change_note(db, row["id"], form.note, actor_id)
    if form.note and form.note != row["note"]:
        datasette.add_message(request, f"Note updated: {name}")
    return index


async def _posted(request: Any) -> _Form:
    fields = await request.post_vars()
    return _Form((fields.get("secret") or "").strip(), fields.get("note") or "")
