"""Secrets for the plugins of Datasette.

A plugin declares what it needs and reads it:

    from datasette_secrets import Secret, get_secret

    @hookimpl
    def register_secrets():
        return [Secret("WEATHER_KEY", description="Key of the weather service")]

    key = await get_secret(datasette, "WEATHER_KEY", actor_id)

The values come from the environment, from an encrypted database of Datasette's,
or, if the configuration says so, from a datasette-secrets host.

Other programs read the secrets of a host with datasette_secrets.client. So that
they need not wait for it, Datasette is not imported before it is used.
"""

from __future__ import annotations

import sys
from typing import Any

from . import hookspecs as hookspecs
from ._declared import Secret as Secret
from ._declared import get_secrets as get_secrets
from ._declared import plugin_manager
from ._errors import ConfigurationError as ConfigurationError
from ._errors import HostUnavailable as HostUnavailable
from ._errors import SecretDamaged as SecretDamaged
from ._errors import SecretDenied as SecretDenied
from ._errors import SecretNotFound as SecretNotFound
from ._errors import SecretsError as SecretsError
from ._errors import TokenRefused as TokenRefused
from ._local import MAX_NOTE_LENGTH as MAX_NOTE_LENGTH
from ._local import SCHEMA as SCHEMA
from ._local import get_database as get_database
from ._plugin import get_config as get_config
from ._plugin import get_secret as get_secret
from ._plugin import menu_links as menu_links
from ._plugin import register_actions as register_actions
from ._plugin import register_commands as register_commands
from ._plugin import register_routes as register_routes
from ._plugin import secrets_index as secrets_index
from ._plugin import secrets_update as secrets_update
from ._plugin import startup as startup


def __getattr__(name: str) -> Any:
    if name == "pm":
        return plugin_manager()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if "datasette.plugins" in sys.modules:  # which is loading this as one of its plugins
    plugin_manager()
