import pytest
from conftest import TOKEN

from datasette_secrets import ConfigurationError
from datasette_secrets._settings import host_settings


@pytest.mark.parametrize("config", [None, {}, [], {"encryption-key": "x"}, {"database": "x", "offline": {}}])
def test_no_host(config):
    assert host_settings(config) is None


@pytest.mark.parametrize(
    "more, url, socket",
    [
        ({"host": "https://secrets.example.com"}, "https://secrets.example.com", None),
        ({"host": "https://secrets.example.com/pre/"}, "https://secrets.example.com/pre", None),
        ({"host": "http://127.0.0.1:8001"}, "http://127.0.0.1:8001", None),
        ({"host": "http://[::1]:8001/"}, "http://[::1]:8001", None),
        ({"host": "http://localhost:8001"}, "http://localhost:8001", None),
        ({"host": "/run/secrets.sock"}, "http://localhost", "/run/secrets.sock"),
        ({"host": "unix:/run/secrets.sock"}, "http://localhost", "/run/secrets.sock"),
    ],
)
def test_addresses(more, url, socket):
    settings = host_settings({"token": TOKEN + "\n", **more})
    assert (settings.address.url, settings.address.socket, settings.address.token) == (url, socket, TOKEN)
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    "more, key",
    [
        ({"host": None}, "host"),
        ({"host": ""}, "host"),
        ({"host": 7}, "host"),
        ({"token": None}, "token"),
        ({"token": ""}, "token"),
        ({"token": {"$env": "X", "more": 1}}, "token"),
        ({"token": " \n"}, "token"),
        ({"token": "two words"}, "token"),
        ({"token": "two\r\nlines"}, "token"),
        ({"token": "dssc_ü"}, "token"),
        ({"host": "http://secrets.example.com"}, "encryption"),
        ({"host": "http://127.0.0.1.example.com"}, "encryption"),
        ({"host": "ftp://localhost"}, "https://"),
        ({"host": "secrets.example.com"}, "https://"),
        ({"host": "https://user:word@secrets.example.com"}, "https://"),
        ({"host": "https://secrets.example.com/?a"}, "https://"),
        ({"host": "https://"}, "https://"),
        ({"mode": "embed"}, "mode"),
        ({"mode": ["proxy"]}, "mode"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "2h"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"offline": "1h"}, "offline"),
        ({"offline": {}}, "offline"),
        ({"offline": {"max-age": "1 year"}}, "offline.max-age"),
        ({"offline": {"max-age": "8d"}}, "offline.max-age"),
        ({"offline": {"max-age": "1h", "file": "x"}}, "offline"),
        ({"pages": "secrets.example.com"}, "pages"),
        ({"pages": 7}, "pages"),
        ({"pages": "javascript:alert(1)"}, "pages"),
    ],
)
def test_mistakes(more, key):
    config = {"host": "https://secrets.example.com", "token": TOKEN, **more}
    with pytest.raises(ConfigurationError, match=key) as caught:
        host_settings(config)
    assert TOKEN not in str(caught.value) and "two" not in str(caught.value)


def test_a_host_without_token_is_no_database():
    with pytest.raises(ConfigurationError):
        host_settings({"host": "https://secrets.example.com", "encryption-key": "x"})
    with pytest.raises(ConfigurationError):
        host_settings({"token": TOKEN, "encryption-key": "x"})


def test_times():
    settings = host_settings({"host": "/s", "token": TOKEN, "timeout": "2.5s", "offline": {"max-age": "1h"}})
    assert (settings.address.timeout, settings.offline, settings.pages, settings.proxy) == (2.5, 3600, "", False)
