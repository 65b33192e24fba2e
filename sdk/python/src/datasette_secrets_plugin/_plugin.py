"""What every plugin implements."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Protocol

from ._declaration import Secret


class Plugin(Protocol):
    """What serve takes: any object with a method register_secrets.

    register_secrets says which secrets the plugin needs, as a plain or an
    async function. It is called once, soon after the plugin was started, and
    should answer at once and always the same.

    Two more attributes are optional:

    ``start(host)`` is called in a thread of its own once the declarations are
    known. It may return when everything is under way, or stay for as long as
    the plugin works: then it returns when host.stopping is set. As an async
    function it is given an AsyncHost, and is cancelled when the host wants the
    plugin to stop. A start that raises an exception before that has failed:
    the process ends, and the host starts it again after a while.

    ``version`` is a text that is shown to administrators.
    """

    def register_secrets(self) -> Iterable[Secret] | Awaitable[Iterable[Secret]]: ...
