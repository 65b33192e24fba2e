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

    More attributes are optional:

    ``start(host)`` is called in a thread of its own once the declarations are
    known. It may return when everything is under way, or stay for as long as
    the plugin works: then it returns when host.stopping is set. As an async
    function it is given an AsyncHost, and is cancelled when the host wants the
    plugin to stop. A start that raises an exception before that has failed:
    the process ends, and the host starts it again after a while.

    ``version`` is a text that is shown to administrators.

    The methods below are offered to the host by their presence, and called in
    any thread, several at a time, perhaps before start has come far:
    current_host() has the host. They may be async, and then run in an event
    loop of their own. Each has little time, after which the host goes on
    without the answer.

    ``test_secret(name, value)`` tries out a Value, for an administrator who
    wants to know whether it works, and returns a TestResult.

    ``menu_links(actor)`` returns MenuLinks for the menu of every page. The
    actor is a dictionary, or None for nobody.

    ``actors_from_ids(ids)`` returns a dictionary of the actors that the plugin
    knows, by id.

    ``actor_from_request(request)`` returns the actor who sends a request to the
    host, of which it learns a RequestMeta, or None if this plugin does not
    know. It needs the approval of an administrator.

    ``serve_http(environ, start_response)`` is a WSGI application, which the
    host shows under /-/plugins/NAME/. current_actor() tells who is signed in,
    and so does environ["datasette_secrets.actor"].
    """

    def register_secrets(self) -> Iterable[Secret] | Awaitable[Iterable[Secret]]: ...
