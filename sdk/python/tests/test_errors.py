import re
from pathlib import Path

import grpc
import pytest

import datasette_secrets_plugin as api
from datasette_secrets_plugin import _errors, _status, _wire
from datasette_secrets_plugin._pb import wire_pb2

REPOSITORY = Path(__file__).parents[3]


class Failure(grpc.RpcError):
    """What grpc raises when a call fails."""

    def __init__(self, code, message="", metadata=()):
        self.code = lambda: code
        self.details = lambda: message
        self.trailing_metadata = lambda: metadata


class Aborted(Exception):
    pass


class Context:
    """What grpc gives to the handler of a call."""

    metadata = ()

    def set_trailing_metadata(self, metadata):
        self.metadata = metadata

    def abort(self, code, message):
        raise Aborted(code, message)


def crossed(error):
    """The error on the other side."""
    context = Context()
    with pytest.raises(Aborted) as raised:
        _status.refuse(context, error)
    return _status.received("doing", Failure(*raised.value.args, context.metadata))


@pytest.mark.parametrize("row", _status.TABLE, ids=lambda row: row.reason)
def test_every_class_survives_the_crossing(row):
    got = crossed(row.error("the cause"))
    assert type(got) is row.error
    assert isinstance(got, api.SecretsError)
    if row.error is _errors.Invalid:
        assert str(got) == "doing: the cause"
    else:
        assert str(got) == f"doing: {row.text}"


def test_other_errors_do_not_cross():
    got = crossed(ValueError("hunter2"))
    assert type(got) is api.SecretsError
    assert str(got) == "doing: internal error"


def details(**info):
    status = wire_pb2.Status()
    status.details.add(
        type_url="type.googleapis.com/google.rpc.ErrorInfo",
        value=wire_pb2.ErrorInfo(**info).SerializeToString(),
    )
    return (("grpc-status-details-bin", status.SerializeToString()),)


@pytest.mark.parametrize(
    ("code", "metadata", "want"),
    [
        (grpc.StatusCode.UNAVAILABLE, (), api.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, (), api.Unavailable),
        (grpc.StatusCode.CANCELLED, None, api.Unavailable),
        (grpc.StatusCode.NOT_FOUND, (), api.SecretsError),
        (grpc.StatusCode.NOT_FOUND, details(reason="SECRET_NOT_SET", domain="secrets.plugin"), api.NotSet),
        (grpc.StatusCode.NOT_FOUND, details(reason="SECRET_NOT_SET", domain="example.com"), api.SecretsError),
        (grpc.StatusCode.NOT_FOUND, details(reason="NEWER", domain="secrets.plugin"), api.SecretsError),
        (grpc.StatusCode.NOT_FOUND, (("grpc-status-details-bin", b"\xff\xff\xff"),), api.SecretsError),
        (grpc.StatusCode.UNKNOWN, (("other", "x"),), api.SecretsError),
    ],
)
def test_received(code, metadata, want):
    assert type(_status.received("doing", Failure(code, "text", metadata))) is want


def test_messages_fit_a_log_line():
    message = str(_status.received("doing", Failure(grpc.StatusCode.UNKNOWN, "a\nb\x1b[0m" + "x" * 5000)))
    assert message.startswith("doing: UNKNOWN: a b [0m")
    assert len(message) < 1100


def test_the_table_is_that_of_the_host():
    texts = {}
    for name, base, text in re.findall(
        r'(Err\w+)\s+= (?:errors\.New|fmt\.Errorf)\("(%w: )?([^"]*)"', (REPOSITORY / "errors.go").read_text()
    ):
        texts[name] = f"permission denied: {text}" if base else text
    rows = re.findall(
        r'\{secrets\.(Err\w+), codes\.(\w+), "(\w+)"\}', (REPOSITORY / "internal/pluginwire/status.go").read_text()
    )
    want = {(reason, code.lower(), texts[name], name) for name, code, reason in rows}
    names = {_errors.IntegrityError: "ErrIntegrity"}
    got = {
        (
            row.reason,
            row.code.name.replace("_", "").lower(),
            row.text,
            names.get(row.error, f"Err{row.error.__name__}"),
        )
        for row in _status.TABLE
    }
    assert got == want


def test_the_constants_are_those_of_the_host():
    source = (REPOSITORY / "internal/pluginwire/pluginwire.go").read_text()
    for name, value in {
        "CookieKey": f'"{_wire.COOKIE_KEY}"',
        "CookieValue": f'"{_wire.COOKIE_VALUE}"',
        "ProtocolVersion": str(_wire.PROTOCOL_VERSION),
        "HostMaxReceive": f"{_wire.MAX_MESSAGE >> 20} << 20",
        "PluginMaxReceive": f"{_wire.MAX_MESSAGE >> 20} << 20",
        "MaxBootstrap": f"{_wire.MAX_BOOTSTRAP >> 10} << 10",
        "HostCallTimeout": f"{_wire.CALL_TIMEOUT:.0f} * time.Second",
    }.items():
        assert re.search(rf"\b{name}\s+= {re.escape(value)}\s", source), name
