"""Log lines as hashicorp/go-hclog writes them, which the host understands."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import PurePath
from types import TracebackType
from typing import Any, TypeAlias

_LINE_KEYS = ("@level", "@message", "@timestamp", "@module", "level", "message", "timestamp", "module")

# The attributes that every record has; all others came with extra={…}.
_RECORD_KEYS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_MAX_CAUSES = 4  # exceptions of one chain that are described
_MAX_FRAMES = 12  # frames of one exception that are named

_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None"


def new_logger(module: str, fd: int) -> logging.Logger:
    """Return a logger that writes lines of JSON to a file descriptor.

    It is apart from the tree of loggers: neither its name nor its level can
    clash with those of a library.
    """
    logger = _Logger(module, logging.DEBUG)
    logger.addHandler(LineHandler(fd))
    return logger


class _Logger(logging.Logger):
    """A logger that takes any name of an extra attribute.

    logging refuses those of its own records, such as "name" and "args".
    """

    def makeRecord(
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        record = super().makeRecord(name, level, fn, lno, msg, args, exc_info, func, None, sinfo)
        for key, value in (extra or {}).items():
            setattr(record, f"attr.{key}" if key in _RECORD_KEYS else key, value)
        return record


class LineHandler(logging.Handler):
    """Writes each record as one line."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode("utf-8", "replace") + b"\n"
        except Exception:
            self.handleError(record)
            return
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError:
            pass  # the host has gone, and with it whoever could be told


class LineFormatter(logging.Formatter):
    """Formats a record as a JSON object, and its extra attributes as fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "@level": _level(record.levelno),
            "@message": record.getMessage(),
            "@module": record.name,
            "@timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        pairs = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in fields.items()]
        for key, value in vars(record).items():
            if key not in _RECORD_KEYS:
                pairs.append(f"{json.dumps(_apart(str(key)))}:{_plain(value)}")
        pairs.extend(f'"{key}":{json.dumps(text)}' for key, text in _describe(record.exc_info))
        return "{" + ",".join(pairs) + "}"


def _level(number: int) -> str:
    for limit, name in ((logging.DEBUG, "trace"), (logging.INFO, "debug"), (logging.WARNING, "info")):
        if number < limit:
            return name
    return "warn" if number < logging.ERROR else "error"


def _apart(key: str) -> str:
    """Rename a field whose key means something in a line."""
    return "attr." + key.lstrip("@") if key in _LINE_KEYS else key


def _plain(value: object) -> str:
    """Encode any value; what JSON does not know becomes its text."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(str(value))


def _describe(info: _ExcInfo) -> list[tuple[str, str]]:
    """Name an exception and where it was raised.

    The frames come newest first, because the host cuts long fields. They are
    places in the code only: neither its text nor the values of variables.
    """
    if not info or info[1] is None:
        return []
    error: BaseException | None = info[1]
    texts, stack = [], []
    for _ in range(_MAX_CAUSES):
        if error is None:
            break
        texts.append("".join(traceback.format_exception_only(type(error), error)).strip())
        frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
        stack.append(", ".join(f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames)))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [("error", "; after ".join(texts)), ("stack", "; after ".join(stack))]
