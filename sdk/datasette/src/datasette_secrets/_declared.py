"""What plugins declare, and what the environment overrides."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from . import hookspecs


@dataclass
class Secret:
    """A plugin's statement that it needs a secret."""

    name: str
    description: str | None = None
    obtain_url: str | None = None
    obtain_label: str | None = None


async def get_secrets(datasette: Any) -> list[Secret]:
    """All declared secrets. The first declaration of a name counts.

    The plugins are asked each time, because what they declare may change. If
    one of them raises, so does this.
    """
    from datasette.utils import await_me_maybe

    found: dict[str, Secret] = {}
    for result in plugin_manager().hook.register_secrets(datasette=datasette):
        for secret in await await_me_maybe(result):
            found.setdefault(secret.name, secret)
    found.setdefault(EXAMPLE, Secret(EXAMPLE, "An example secret"))
    return list(found.values())


EXAMPLE = "EXAMPLE_SECRET"


def plugin_manager() -> Any:
    """Datasette's plugin manager, which knows the hook register_secrets from then on."""
    from datasette.plugins import pm

    hook = getattr(pm.hook, "register_secrets", None)
    if hook is None or not hook.has_spec():
        pm.add_hookspecs(hookspecs)
    return pm


def from_environment(name: str) -> str | None:
    """The value that the environment gives a secret, or None. It goes before every other value."""
    return os.environ.get("DATASETTE_SECRETS_" + name) or None
