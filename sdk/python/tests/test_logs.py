import json
import logging
import os

import pytest

from datasette_secrets_plugin import NotSet, Value
from datasette_secrets_plugin._logs import new_logger


@pytest.fixture
def logged():
    """Logs with a function and returns the decoded line."""
    read, write = os.pipe()

    def log(function):
        function(new_logger("weather", write))
        line = os.read(read, 1 << 16)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        return json.loads(line)

    yield log
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("level", "want"),
    [(5, "trace"), (10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "error")],
)
def test_levels(logged, level, want):
    record = logging.makeLogRecord({"levelno": level, "msg": "a\nb %s", "args": (1,), "name": "weather"})
    line = logged(lambda logger: logger.handle(record))
    assert line["@level"] == want
    assert line["@message"] == "a\nb 1"
    assert line["@module"] == "weather"


def test_fields(logged):
    loop = []
    loop.append(loop)
    extra = {
        "value": Value("hunter2"),
        "nested": {"value": [Value("hunter2")]},
        "keyed": {Value("hunter2"): 1},
        "nan": float("nan"),
        "loop": loop,
        "level": "x",
        "@message": "forged",
        "n": 1,
        "name": "x",
        "args": 2,
        "lone": "\ud800",
    }
    line = logged(lambda logger: logger.info("text", extra=extra))
    assert line["value"] == "[redacted]"
    assert line["nested"] == {"value": ["[redacted]"]}
    assert line["keyed"] == "{[redacted]: 1}"
    assert line["nan"] == "nan"
    assert line["attr.level"] == "x"
    assert line["attr.message"] == "forged"
    assert line["@message"] == "text"
    assert line["n"] == 1
    assert line["attr.name"] == "x" and line["attr.args"] == 2
    assert line["@module"] == "weather"
    assert "hunter2" not in str(line)


def test_exceptions_name_places_and_no_values(logged):
    def fail():
        password = "hunter2"
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer" if password else "")

    def log(logger):
        try:
            fail()
        except ValueError:
            logger.exception("failed")

    line = logged(log)
    assert line["error"] == "ValueError: outer; after KeyError: 'inner'"
    assert line["stack"].startswith("test_logs.py:") and " fail, test_logs.py:" in line["stack"]
    assert "hunter2" not in str(line)


def test_errors_are_named_as_they_are_imported(logged):
    line = logged(lambda logger: logger.error("no key", exc_info=NotSet("secret is not set")))
    assert line["error"] == "datasette_secrets_plugin.NotSet: secret is not set"


def test_a_host_that_is_gone():
    read, write = os.pipe()
    os.close(read)
    new_logger("weather", write).info("nobody reads this")
    os.close(write)
