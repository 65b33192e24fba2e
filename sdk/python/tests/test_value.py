import copy
import json
import logging
import pickle
import pprint
import string
from dataclasses import asdict, dataclass

import pytest

from datasette_secrets_plugin import Value


@dataclass
class Holder:
    value: Value


def test_reveal():
    assert Value("hunter2").reveal() == "hunter2"
    assert len(Value("hünter2")) == 7
    assert not Value("")


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        pprint.pformat,
        lambda v: f"{v} {v!r} {v!s:>20} {v:>20} {v:x}",
        lambda v: "%s %r" % (v, v),
        lambda v: "{0} {0!r}".format(v),
        lambda v: string.Template("$v").substitute(v=v),
        lambda v: str([v, {"v": v}, (v,), {v}]),
        lambda v: repr(Holder(v)),
        lambda v: str(asdict(Holder(v))),
        lambda v: json.dumps({"v": v}, default=str),
        lambda v: repr(copy.copy(v)) + repr(copy.deepcopy([v])),
        lambda v: logging.makeLogRecord({"msg": "%s %r", "args": (v, v)}).getMessage(),
        lambda v: str([getattr(v, name) for name in dir(v)]),
    ],
)
def test_hides_itself(show):
    shown = show(Value("hunter2"))
    assert "hunter2" not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize("encode", [json.dumps, pickle.dumps, bytes, vars, list, lambda v: "Bearer " + v])
def test_refuses_to_be_encoded(encode):
    with pytest.raises(TypeError) as raised:
        encode(Value("hunter2"))
    assert "hunter2" not in str(raised.value)


def test_cannot_be_changed():
    value = Value("hunter2")
    with pytest.raises(AttributeError):
        value._reveal = lambda: "other"
    with pytest.raises(AttributeError):
        del value._reveal
    with pytest.raises(AttributeError):
        value.other = 1
    assert value.reveal() == "hunter2"


def test_comparing_says_nothing_about_the_text():
    assert Value("hunter2") != Value("hunter2")
    assert Value("hunter2") != "hunter2"
    value = Value("hunter2")
    assert copy.deepcopy(value) == value
