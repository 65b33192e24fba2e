"""Write plugins for the datasette-secrets host.

A plugin is a program that the host starts. It declares the secrets it needs,
an administrator gives them values on the host's pages, and the plugin reads
them when it needs them::

    from datasette_secrets_plugin import Secret, serve

    class Weather:
        def register_secrets(self):
            return [Secret("WEATHER_KEY", description="Key of the weather service")]

        def start(self, host):
            key = host.get_secret("WEATHER_KEY", actor_id="root")
            host.logger.info("got the key", extra={"length": len(key)})

    serve(Weather())

``start`` is optional. It may be ``async def``, and is then given an AsyncHost,
whose methods are awaited.
"""

from ._batch import Secrets
from ._context import Actor, current_actor, current_async_host, current_host
from ._declaration import Redact, Secret, SecretStatus
from ._errors import Denied, IntegrityError, NotApproved, NotConfigured, NotSet, Sealed, SecretsError, Unavailable
from ._hooks import MenuLink, RequestMeta, TestResult
from ._host import AsyncHost, Host
from ._plugin import Plugin
from ._serve import serve
from ._value import Value
from ._watch import Change

__all__ = [
    "Actor",
    "AsyncHost",
    "Change",
    "Denied",
    "Host",
    "IntegrityError",
    "MenuLink",
    "NotApproved",
    "NotConfigured",
    "NotSet",
    "Plugin",
    "Redact",
    "RequestMeta",
    "Sealed",
    "Secret",
    "SecretStatus",
    "Secrets",
    "SecretsError",
    "TestResult",
    "Unavailable",
    "Value",
    "current_actor",
    "current_async_host",
    "current_host",
    "serve",
]

# Tracebacks and logs name the errors as authors import them.
for _error in (Denied, IntegrityError, NotApproved, NotConfigured, NotSet, Sealed, SecretsError, Unavailable):
    _error.__module__ = __name__
