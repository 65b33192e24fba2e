"""The life of a plugin's process."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from concurrent import futures
from typing import NoReturn

import grpc

from ._logs import LineHandler, new_logger
from ._plugin import Plugin
from ._services import register
from ._session import STOP_TIMEOUT, Session
from ._wire import (
    COOKIE_KEY,
    COOKIE_VALUE,
    CORE_VERSION,
    PROTOCOL_VERSION,
    SOCKET_DIR_KEY,
    Bootstrap,
    BootstrapError,
    message_limits,
    read_bootstrap,
)

# What a person sees who starts a plugin in a terminal.
_BY_HAND = """\
{} is a plugin for datasette-secrets, which starts it by itself.
Put it in a folder as datasette-secrets-plugin-NAME and run: datasette-secrets --plugins-dir FOLDER
"""

_THREADS = 32  # calls of the host at the same time
_EXIT_PATIENCE = 0.5  # seconds for threads and atexit functions


def serve(plugin: Plugin) -> NoReturn:
    """Run plugin until the host asks it to stop, and then end the process.

    It is all that a plugin's program has to do, and must be called from the
    main thread. From here on standard input belongs to the host, and what is
    written to standard output goes to the host's log, like standard error.
    """
    if os.environ.get(COOKIE_KEY) != COOKIE_VALUE:
        sys.stderr.write(_BY_HAND.format(os.path.basename(sys.argv[0])))
        sys.exit(1)
    # CTRL+C in a terminal goes to the host and all its plugins; it is the host
    # that ends them. A function and not SIG_IGN, which subprocesses inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    stdin, stdout, stderr = _take_streams()
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(LineHandler(stderr))  # what libraries log
    end = _End()
    try:
        bootstrap = read_bootstrap(stdin)
        session = Session(plugin, bootstrap.channel, stderr, end.now)
        server, address = _listen(session, bootstrap)
    except (BootstrapError, OSError, RuntimeError) as error:
        new_logger("plugin", stderr).error("starting the plugin", extra={"error": error})
        sys.exit(1)
    end.on_sigterm()
    threading.Thread(target=_await_orphanage, args=(stdin, end), name="stdin", daemon=True).start()
    # The host names the versions that it speaks in the environment, and checks
    # the answer; there is only one to choose from. The line is the first that
    # is written to standard output, and the last.
    line = f"{CORE_VERSION}|{PROTOCOL_VERSION}|unix|{address}|grpc\n"
    with contextlib.suppress(BrokenPipeError):
        os.write(stdout, line.encode())

    end.wait()
    stopped = session.stop(STOP_TIMEOUT)
    server.stop(None).wait(_EXIT_PATIENCE)
    with contextlib.suppress(OSError):
        os.unlink(address)
    _leave(0 if stopped and session.error is None else 1, stuck=not stopped)


class _End:
    """What the main thread waits for: a flag, and a pipe that wakes it.

    A lock would not do. Python runs handlers of signals in the main thread
    only, and a signal that another thread receives, or the main one just
    before it sleeps, does not wake it. What is written to a pipe does.
    """

    def __init__(self) -> None:
        self._come = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def now(self) -> None:
        """Let the process end; may be called from any thread."""
        self._come = True
        with contextlib.suppress(BlockingIOError):  # who reads a full pipe is awake
            os.write(self._write, b"\0")

    def on_sigterm(self) -> None:
        """Let the process end when it is asked to by SIGTERM."""
        # From here on whatever thread receives a signal writes to the pipe,
        # and so the main one comes to run the handler.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self.now())

    def wait(self) -> None:
        """Return when the process is to end."""
        while not self._come:
            os.read(self._read, 4096)


def _take_streams() -> tuple[int, int, int]:
    """Return the real standard streams, and put others in their place.

    Code of the plugin that prints, also from C or in a subprocess, must not
    write into the protocol, and what reads must not take the host's words.
    """
    stdin, stdout, stderr = os.dup(0), os.dup(1), os.dup(2)  # not inherited by subprocesses
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()  # what was printed before goes the new way as well
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return stdin, stdout, stderr


def _listen(session: Session, bootstrap: Bootstrap) -> tuple[grpc.Server, str]:
    """Serve the plugin's services on a new socket, and return its path."""
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"), options=message_limits())
    register(session, server)
    folder = os.environ.get(SOCKET_DIR_KEY) or tempfile.gettempdir()
    address = os.path.join(folder, f"plugin{secrets.randbelow(10**10):010}")
    server.add_secure_port(f"unix:{address}", bootstrap.server_credentials())
    os.chmod(address, 0o600)
    server.start()
    return server, address


def _await_orphanage(stdin: int, end: _End) -> None:
    """Wait for the end of standard input, which the host holds open while it lives."""
    with contextlib.suppress(OSError):  # an error means the end as well
        while os.read(stdin, 4096):
            pass
    end.now()


def _leave(code: int, stuck: bool) -> NoReturn:
    """End the process, in order if that does not take long."""
    if stuck:
        os._exit(code)
    limit = threading.Timer(_EXIT_PATIENCE, os._exit, (code,))
    limit.daemon = True
    limit.start()
    sys.exit(code)
