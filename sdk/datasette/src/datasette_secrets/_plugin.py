"""The plugin of Datasette: its hooks, and get_secret."""

from __future__ import annotations

from typing import Any

from pluggy import HookimplMarker

from . import _local, _pages, _proxy, _remote
from ._declared import from_environment, get_secrets
from ._errors import ConfigurationError
from ._settings import HostSettings, host_settings

hookimpl = HookimplMarker("datasette")

_ACTION = "manage-secrets"


async def get_secret(datasette: Any, secret_name: str, actor_id: Any = None) -> str | None:
    """The value of a declared secret, or None without one.

    actor_id says for whom it is read, and is noted beside it. With a host that
    cannot answer this raises a SecretsError and not None: no value and no
    answer are not the same.
    """
    declared = await get_secrets(datasette)
    if secret_name not in {secret.name for secret in declared}:
        return None
    value = from_environment(secret_name)
    if value is not None:
        return value
    host = _host(datasette)
    if host:
        return await _remote.read(datasette, host, declared, secret_name, actor_id)
    key = _key(datasette)
    return await _local.read(datasette, key, secret_name, actor_id) if key else None


def get_config(datasette: Any) -> dict[str, Any] | None:
    """Where secrets are kept, or None if that is not configured. With a host there is no encryption_key."""
    host, key = _host(datasette), _key(datasette)
    if not host and not key:
        return None
    database = _configured(datasette).get("database") or "_internal"
    if host:
        return {"database": database, "encryption_key": None, "host": host.address.host}
    return {"database": database, "encryption_key": key}


def _configured(datasette: Any) -> dict[str, Any]:
    return datasette.plugin_config("datasette-secrets") or {}


def _host(datasette: Any) -> HostSettings | None:
    return host_settings(_configured(datasette))


def _key(datasette: Any) -> Any:
    return _configured(datasette).get("encryption-key") or None


@hookimpl
def register_actions(datasette: Any) -> list[Any]:
    from datasette.permissions import Action

    return [Action(name=_ACTION, description="Manage Datasette secrets")]


@hookimpl
def register_commands(cli: Any) -> None:
    from cryptography.fernet import Fernet

    @cli.group()
    def secrets() -> None:
        "Secrets of plugins"

    @secrets.command()
    def generate_encryption_key() -> None:
        "Print a new key for a local database of secrets"
        print(Fernet.generate_key().decode())


@hookimpl
def startup(datasette: Any) -> Any:
    try:
        host = _host(datasette)
    except ConfigurationError as error:
        from datasette.utils import StartupError

        raise StartupError(str(error)) from None
    if host:
        return lambda: _remote.declare_at_start(datasette, host)
    if _key(datasette):
        return lambda: _local.create_table(datasette)
    return None


@hookimpl
def register_routes(datasette: Any) -> list[tuple[str, Any]]:
    routes: list[tuple[str, Any]] = [
        (r"^/-/secrets$", secrets_index),
        (r"^/-/secrets/(?P<secret_name>[^/]+)$", secrets_update),
    ]
    try:
        host = _host(datasette)
    except ConfigurationError:  # which startup reports
        return routes
    if host:
        routes.append((r"^(?P<path>/-/secrets/.+)$", host_page))
    if host and host.proxy:
        routes.append((r"^" + _proxy.PREFIX + r"(?P<path>/.*)$", host_page))
    return routes


@hookimpl
def menu_links(datasette: Any, actor: Any) -> Any:
    if not get_config(datasette):
        return None

    async def links() -> list[dict[str, str]] | None:
        host = _host(datasette)
        if host:
            _remote.look_again(datasette, host)
        if not await datasette.allowed(action=_ACTION, actor=actor):
            return None
        return [{"href": datasette.urls.path("/-/secrets"), "label": "Manage secrets"}]

    return links


async def secrets_index(datasette: Any, request: Any, send: Any = None) -> Any:
    """The page of all secrets."""
    await _check_allowed(datasette, request)
    host = _host(datasette)
    if host:
        _remote.look_again(datasette, host)
        return await _show_host(datasette, host, request, send, "/-/secrets")
    return await _pages.show_index(datasette, request)


async def secrets_update(datasette: Any, request: Any, send: Any = None) -> Any:
    """The page of one secret."""
    await _check_allowed(datasette, request)
    host = _host(datasette)
    if host:
        return await _show_host(datasette, host, request, send, "/-/secrets/" + request.url_vars["secret_name"])
    key = _key(datasette)
    if not key:
        from datasette import Response

        return Response.html("datasette-secrets has not been configured", status=400)
    return await _pages.show_secret(datasette, request, key)


async def host_page(datasette: Any, request: Any, send: Any) -> Any:
    """A page of a host beside those two."""
    from datasette import NotFound

    host, path = _host(datasette), request.url_vars["path"]
    if not host:
        raise NotFound("The configuration names no host any more")
    if not _proxy.may_be_shown(path):
        raise NotFound("There is no such page")
    if not _proxy.is_static(path):  # which the pages of those who may need, and is no secret
        await _check_allowed(datasette, request)
    return await _show_host(datasette, host, request, send, path)


async def _check_allowed(datasette: Any, request: Any) -> None:
    from datasette import Forbidden

    if not await datasette.allowed(action=_ACTION, actor=request.actor):
        raise Forbidden("Permission denied")


async def _show_host(datasette: Any, host: HostSettings, request: Any, send: Any, path: str) -> Any:
    if host.proxy:
        await _proxy.show(datasette, host, request, path, send)
        return None
    from datasette import Response

    if host.pages:
        return Response.redirect(host.pages + path)
    return Response.html(
        "The host's pages have no address in a browser. Set plugins.datasette-secrets.pages, or mode: proxy.",
        status=501,
    )
