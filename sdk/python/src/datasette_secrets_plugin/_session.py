"""One plugin in the course of one life: its start and its end."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import grpc

from ._context import Hosts
from ._errors import Invalid, Unavailable
from ._host import AsyncHost, Calls, Host
from ._http import Listener
from ._logs import new_logger
from ._plugin import Plugin

STOP_TIMEOUT = 2.0  # seconds for start to return


class Session:
    """The state of a plugin's life, and what begins and ends it."""

    def __init__(
        self,
        plugin: Plugin,
        connect: Callable[[str], grpc.Channel],
        stderr: int,
        leave: Callable[[], None],
    ) -> None:
        self.plugin = plugin
        self.leave = leave  # ends the process
        self.logger = new_logger("plugin", stderr)
        self.error: BaseException | None = None  # what start has raised
        self.ended = threading.Event()  # start has returned
        self._connect = connect
        self._stderr = stderr
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # for what follows
        self._channel: grpc.Channel | None = None
        self._calls: Calls | None = None
        self._hosts: Hosts | None = None
        self._started = False
        self._cancel: Callable[[], object] | None = None  # of an async start
        self._listener: Listener | None = None

    def offers(self, hook: str) -> bool:
        """Say whether the plugin has a method."""
        return callable(getattr(self.plugin, hook, None))

    def init(self, name: str, address: str) -> None:
        """Connect to the host."""
        with self._lock:
            if self._channel is not None:
                raise Invalid("invalid request: Init was called twice")
            self._channel = self._connect(address)
            self.logger = new_logger(name, self._stderr)
            self._calls = Calls(self._channel, self.logger)
            plain = Host(self._calls, self.logger, self._stopping)
            self._hosts = Hosts(plain, AsyncHost(self._calls, self.logger))

    @property
    def hosts(self) -> Hosts:
        """The host, as the plugin sees it."""
        if self._hosts is None:
            raise Invalid("invalid request: the plugin was called before Init")
        return self._hosts

    def start(self) -> None:
        """Call the plugin's start in the background."""
        with self._lock:
            if self._hosts is None:
                raise Invalid("invalid request: Start was called before Init")
            if self._started:
                raise Invalid("invalid request: Start was called twice")
            if self._stopping.is_set():
                raise Unavailable("the plugin is stopping")
            self._started = True
            run = functools.partial(self._run, self._hosts)
            # A daemon, so that a start that never returns cannot keep the
            # process from ending.
            threading.Thread(target=run, name="start", daemon=True).start()

    def listen(self, address: str, key: bytes, prefix: str) -> None:
        """Serve the plugin's own pages on a socket."""
        with self._lock:
            if self._stopping.is_set():
                raise Unavailable("the plugin is stopping")
            hosts = self.hosts
            if self._listener is not None:
                self._listener.close()  # its socket and key are good no more
            app = self.plugin.serve_http  # type: ignore[attr-defined] # offers was asked
            self._listener = Listener(app, hosts, address, key, prefix, self.logger)

    def stop(self, timeout: float) -> bool:
        """Ask the plugin to stop, and say whether it did so in time."""
        with self._lock:
            self._stopping.set()
            cancel, self._cancel = self._cancel, None
            if cancel is not None:
                cancel()
            started, channel, listener, calls = self._started, self._channel, self._listener, self._calls
        if calls is not None:
            calls.end()
        if listener is not None:
            listener.close()
        if started and not self.ended.wait(timeout):
            return False
        if channel is not None:
            channel.close()
        return True

    def _run(self, hosts: Hosts) -> None:
        try:
            self._call_start(hosts)
        except BaseException as error:  # sys.exit would end no more than this thread
            if not self._stopping.is_set():
                self.error = error
                self.logger.error("the plugin failed", exc_info=error)
        finally:
            self.ended.set()
            if self.error is not None:
                self.leave()

    def _call_start(self, hosts: Hosts) -> None:
        start = self.plugin.start  # type: ignore[attr-defined] # offers was asked
        if inspect.iscoroutinefunction(start):
            asyncio.run(self._await_start(start, hosts.awaited))
        else:
            start(hosts.plain)

    async def _await_start(self, start: Callable[[AsyncHost], Any], host: AsyncHost) -> None:
        task = asyncio.ensure_future(start(host))
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._stopping.is_set():
                task.cancel()
            else:
                self._cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        try:
            await task
        finally:
            with self._lock:
                self._cancel = None
