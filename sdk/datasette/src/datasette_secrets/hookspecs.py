"""The hook by which plugins of Datasette declare secrets."""

from __future__ import annotations

from typing import Any

from pluggy import HookspecMarker

hookspec = HookspecMarker("datasette")


@hookspec
def register_secrets(datasette: Any) -> Any:
    """Secrets that the plugin needs: a list of Secret, or a function, async or not, that returns one."""
