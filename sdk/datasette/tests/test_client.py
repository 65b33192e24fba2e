import multiprocessing
import os
import pickle
import threading
import time

import pytest
from conftest import TOKEN

from datasette_secrets import client
from datasette_secrets.client import (
    ConfigurationError,
    HostUnavailable,
    SecretDamaged,
    SecretDenied,
    SecretNotFound,
    Secrets,
    SecretsError,
    TokenRefused,
    secrets,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("DATASETTE_SECRETS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(params=["tcp", "unix"])
def either(request, host, socket_host, monkeypatch):
    fake = host if request.param == "tcp" else socket_host
    monkeypatch.setenv("DATASETTE_SECRETS_HOST", fake.url)
    monkeypatch.setenv("DATASETTE_SECRETS_TOKEN", TOKEN)
    return fake


def test_mapping(either):
    either.values = {"ONE": "1", "EMPTY": "", "ünï": "never asked for"}
    either.values.pop("ünï")
    either.refusals = {"PENDING": "not_approved"}
    assert secrets["ONE"] == "1"
    assert secrets["EMPTY"] == ""
    assert secrets.get("ONE") == "1" and secrets.get("NONE") is None and secrets.get("NONE", "x") == "x"
    assert "ONE" in secrets and "NONE" not in secrets and "PENDING" not in secrets and 7 not in secrets
    assert list(secrets) == ["EMPTY", "ONE"] and len(secrets) == 2
    assert dict(secrets) == {"ONE": "1", "EMPTY": ""}
    assert bool(secrets)


def test_asking_which_there_are_is_no_use(host):
    host.values = {"ONE": "1"}
    mine = Secrets(host.url, TOKEN)
    assert "ONE" in mine and list(mine) and len(mine) == 1
    assert {path for _, path, *_ in host.requests} == {"/-/api/v1/secrets"}


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "%2e%2e", "a b", "x" * 256, "ü", "a\n", 7, None])
def test_names_that_cannot_be(host, name):
    with pytest.raises(SecretNotFound):
        Secrets(host.url, TOKEN)[name]
    assert not host.requests


@pytest.mark.parametrize(
    "code, error",
    [
        ("not_set", SecretNotFound),
        ("not_declared", SecretNotFound),
        ("not_approved", SecretDenied),
        ("denied", SecretDenied),
        ("integrity", SecretDamaged),
        ("internal", HostUnavailable),
        ("sealed", HostUnavailable),
        ("locked_out", HostUnavailable),
        ("unavailable", HostUnavailable),
        ("rate_limited", HostUnavailable),
    ],
)
def test_errors(host, code, error, impatient):
    host.refusals = {"ONE": code}
    mine = Secrets(host.url, TOKEN)
    with pytest.raises(error) as caught:
        mine["ONE"]
    assert caught.value.code == code and str(caught.value) == f"says {code}"
    assert isinstance(caught.value, KeyError) == (error is SecretNotFound)
    if error is SecretNotFound:
        assert mine.get("ONE", "other") == "other"
    else:
        with pytest.raises(error):
            mine.get("ONE", "other")


def test_token_refused(host):
    wrong = "dssc_" + "w" * 49
    with pytest.raises(TokenRefused) as caught:
        Secrets(host.url, wrong)["ONE"]
    assert wrong not in str(caught.value) and not isinstance(caught.value, KeyError)
    assert wrong not in repr(Secrets(host.url, wrong))


def test_host_down(host, impatient):
    host.stop()
    mine = Secrets(host.url, TOKEN)
    for ask in (
        lambda: mine["ONE"],
        lambda: mine.get("ONE"),
        lambda: "ONE" in mine,
        lambda: list(mine),
        lambda: len(mine),
    ):
        with pytest.raises(HostUnavailable) as caught:
            ask()
        assert not isinstance(caught.value, KeyError) and TOKEN not in str(caught.value)


def test_no_host_answers_there(host, monkeypatch, impatient):
    monkeypatch.setattr(host, "decide", lambda *_: (200, b"<h1>It works</h1>", []))
    with pytest.raises(HostUnavailable, match="no datasette-secrets host"):
        Secrets(host.url, TOKEN)["ONE"]


def test_redirects_are_not_followed(host, monkeypatch, impatient):
    monkeypatch.setattr(host, "decide", lambda *_: (307, b"", [("Location", host.url + "/elsewhere")]))
    with pytest.raises(HostUnavailable):
        Secrets(host.url, TOKEN)["ONE"]
    assert {path for _, path, *_ in host.requests} == {"/-/api/v1/secrets/ONE"}


def test_proxies_of_the_environment_get_nothing(host, monkeypatch):
    host.values = {"ONE": "1"}
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    fresh = client.Connections()
    monkeypatch.setattr(client, "_connections", fresh)
    assert Secrets(host.url, TOKEN)["ONE"] == "1"


def test_restarted_host(host):
    host.values = {"ONE": "1"}
    mine = Secrets(host.url, TOKEN, timeout=60)
    assert mine["ONE"] == "1"
    host.stop()
    threading.Timer(0.3, host.start).start()
    assert mine["ONE"] == "1"


def test_connection_of_a_host_that_was_restarted_meanwhile(host):
    host.values = {"ONE": "1"}
    mine = Secrets(host.url, TOKEN, timeout=60)
    assert mine["ONE"] == "1"
    host.stop()
    host.start()
    assert mine["ONE"] == "1"


def test_a_host_that_is_known_to_be_down_costs_no_time(host):
    host.stop()
    mine = Secrets(host.url, TOKEN, timeout=1)
    with pytest.raises(HostUnavailable):
        mine["ONE"]
    begin = time.monotonic()
    for _ in range(20):
        with pytest.raises(HostUnavailable):
            mine["ONE"]
    assert time.monotonic() - begin < 15  # and not 20 times the timeout
    host.start()
    host.values = {"ONE": "1"}
    assert mine["ONE"] == "1"


def test_configuration(host, tmp_path, monkeypatch):
    host.values = {"ONE": "1"}
    with pytest.raises(ConfigurationError, match="DATASETTE_SECRETS_HOST"):
        secrets["ONE"]
    monkeypatch.setenv("DATASETTE_SECRETS_HOST", host.url)
    with pytest.raises(ConfigurationError, match="DATASETTE_SECRETS_TOKEN"):
        secrets["ONE"]
    path = tmp_path / "token"
    monkeypatch.setenv("DATASETTE_SECRETS_TOKEN_FILE", str(path))
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        secrets["ONE"]
    path.write_text(TOKEN + "\n")
    assert secrets["ONE"] == "1"
    monkeypatch.setenv("DATASETTE_SECRETS_TOKEN", "dssc_other")
    with pytest.raises(TokenRefused):
        secrets["ONE"]
    monkeypatch.setenv("DATASETTE_SECRETS_HOST", "http://secrets.example.com")
    with pytest.raises(ConfigurationError, match="encryption"):
        secrets["ONE"]
    assert issubclass(ConfigurationError, SecretsError) and not issubclass(ConfigurationError, KeyError)


def test_actor(host):
    host.values = {"ONE": "1"}
    assert Secrets(host.url, TOKEN, actor_id="ann & bob")["ONE"] == "1"
    assert host.requests[-1][2] == {"actor": "ann & bob"}


def test_threads(host):
    host.values = {f"S{i}": str(i) for i in range(20)}
    mine, found = Secrets(host.url, TOKEN), {}

    def read(i):
        found[i] = [mine[f"S{i}"] for _ in range(5)]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [str(i)] * 5 for i in range(20)}


def _read(mine, results):
    results.put([mine[name] for name in ("ONE", "TWO") for _ in range(10)])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(host):
    host.values = {"ONE": "1", "TWO": "2"}
    mine = Secrets(host.url, TOKEN)
    assert mine["ONE"] == "1"  # so that there is a connection to share by mistake
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    with client._connections._lock:  # as if another thread were at it
        children = [fork.Process(target=_read, args=(mine, results)) for _ in range(4)]
        for child in children:
            child.start()
    mine["TWO"]
    want = ["1"] * 10 + ["2"] * 10
    assert [results.get(timeout=60) for _ in children] == [want] * 4
    for child in children:
        child.join()


def test_lazy(monkeypatch):
    monkeypatch.setenv("DATASETTE_SECRETS_HOST", "nonsense")
    repr(secrets), bool(secrets), Secrets()  # none of which asks anybody


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(SecretNotFound("text", "not_set")))
    assert str(error) == "text" and isinstance(error, KeyError)
