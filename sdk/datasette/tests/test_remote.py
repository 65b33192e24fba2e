import asyncio
import json
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import TOKEN
from datasette.app import Datasette
from datasette.plugins import pm
from pluggy import HookimplMarker

import datasette_secrets
from datasette_secrets import (
    HostUnavailable,
    Secret,
    SecretDamaged,
    SecretsError,
    TokenRefused,
    get_config,
    get_secret,
)

hookimpl = HookimplMarker("datasette")
ROOT = {"id": "root"}


class Plugin:
    def __init__(self, *names):
        self.declared = [Secret(name) for name in names]

    @hookimpl
    def register_secrets(self):
        if isinstance(self.declared, Exception):
            raise self.declared
        return self.declared


@pytest.fixture(autouse=True)
def registered():
    assert "datasette_secrets" in datasette_secrets.__name__
    if not pm.is_registered(datasette_secrets):  # Datasette registers nothing of itself under pytest
        pm.register(datasette_secrets, "secrets")


@pytest.fixture
def plugin():
    one = Plugin("ONE", "TWO")
    pm.register(one)
    yield one
    pm.unregister(one)


async def made(fake, internal=None, settings=None, **more):
    config = {"host": fake.url, "token": TOKEN, "timeout": 30, **more}
    datasette = Datasette(
        memory=True,
        internal=internal,
        secret="1",
        settings=settings,
        config={"plugins": {"datasette-secrets": config}, "permissions": {"manage-secrets": {"id": "root"}}},
    )
    await datasette.invoke_startup()
    return datasette


def reads(host):
    return [(path.rsplit("/", 1)[1], query) for _, path, query, *_ in host.requests if "/secrets/" in path]


def test_values(host, plugin):
    async def check():
        datasette = await made(host)
        assert [one["name"] for one in host.declared] == ["ONE", "TWO"]
        assert await get_secret(datasette, "ONE") is None
        host.values = {"ONE": " 1\n", "TWO": "", "OTHER": "x"}
        assert await get_secret(datasette, "ONE", "root") == " 1\n"
        assert await get_secret(datasette, "TWO", 7) == ""
        assert await get_secret(datasette, "TWO", "") == ""
        assert reads(host) == [("ONE", {}), ("ONE", {"actor": "root"}), ("TWO", {"actor": "7"}), ("TWO", {})]
        assert await get_secret(datasette, "OTHER") is None  # which nobody declared
        assert await get_secret(datasette, "EXAMPLE_SECRET") is None
        assert len(reads(host)) == 5
        assert get_config(datasette) == {"database": "_internal", "encryption_key": None, "host": host.url}

    asyncio.run(check())


def test_environment(host, plugin, monkeypatch, impatient):
    async def check():
        datasette = await made(host)
        host.values = {"ONE": "1"}
        monkeypatch.setenv("DATASETTE_SECRETS_ONE", "  e\n")
        assert await get_secret(datasette, "ONE") == "  e\n"
        host.stop()
        assert await get_secret(datasette, "ONE") == "  e\n"
        monkeypatch.setenv("DATASETTE_SECRETS_ONE", "")
        with pytest.raises(HostUnavailable):
            await get_secret(datasette, "ONE")

    asyncio.run(check())


def test_unix_socket(socket_host, plugin):
    async def check():
        datasette = await made(socket_host)
        socket_host.values = {"ONE": "1"}
        assert await get_secret(datasette, "ONE") == "1"

    asyncio.run(check())


def test_what_is_declared(host, plugin):
    plugin.declared = [
        Secret("ONE", "First", "https://example.com/", "Get it"),
        Secret("a b"),
        Secret(".."),
        Secret("LONG", "d" * 5000, "javascript:alert(1)", "l" * 300),
    ]

    async def check():
        datasette = await made(host)
        assert host.declared == [
            {"name": "ONE", "description": "First", "obtain_url": "https://example.com/", "obtain_label": "Get it"},
            {"name": "LONG", "description": "d" * 4000, "obtain_label": "l" * 200},
        ]
        assert await get_secret(datasette, "a b") is None and await get_secret(datasette, "..") is None
        assert reads(host) == []
        plugin.declared = []
        assert await get_secret(datasette, "EXAMPLE_SECRET") is None
        assert [one["name"] for one in host.declared] == ["EXAMPLE_SECRET"]
        asked = len(host.requests)
        await get_secret(datasette, "EXAMPLE_SECRET")
        assert len(host.requests) == asked + 1  # it is told once

    asyncio.run(check())


def test_declared_again_when_it_changes(host, plugin):
    async def check():
        datasette = await made(host)
        plugin.declared = [*plugin.declared, Secret("NEW")]
        host.values = {"NEW": "n"}
        assert await get_secret(datasette, "NEW") == "n"
        assert [one["name"] for one in host.declared] == ["ONE", "TWO", "NEW"]

    asyncio.run(check())


def test_declared_later_if_the_host_is_down(host, plugin, caplog, impatient):
    async def check():
        host.stop()
        datasette = await made(host)
        assert "cannot be reached" in caplog.text and TOKEN not in caplog.text
        host.start()
        page = await datasette.client.get("/", cookies={"ds_actor": datasette.client.actor_cookie(ROOT)})
        assert page.status_code == 200
        await datasette._datasette_secrets_told.looking
        assert [one["name"] for one in host.declared] == ["ONE", "TWO"]

    asyncio.run(check())


def test_a_host_that_forgot_is_told_again(host, plugin):
    async def check():
        datasette = await made(host)
        host.refusals = {"ONE": "not_declared"}
        assert await get_secret(datasette, "ONE") is None
        assert host.declared[-1] == {"name": "ONE"} and reads(host) == [("ONE", {}), ("ONE", {})]

    asyncio.run(check())


def test_a_plugin_that_fails_at_start(host, plugin):
    async def check():
        declared, plugin.declared = plugin.declared, RuntimeError("not ready")
        datasette = await made(host)
        with pytest.raises(RuntimeError):
            await get_secret(datasette, "ONE")
        plugin.declared, host.values = declared, {"ONE": "1"}
        assert await get_secret(datasette, "ONE") == "1"

    asyncio.run(check())


@pytest.mark.parametrize("code", ["not_set", "not_approved", "denied", "not_declared"])
def test_what_the_host_withholds_is_none(host, plugin, caplog, code):
    async def check():
        datasette = await made(host)
        host.refusals = {"ONE": code}
        for _ in range(3):
            assert await get_secret(datasette, "ONE") is None
        assert caplog.text.count("says") == (0 if code == "not_set" else 1)

    asyncio.run(check())


@pytest.mark.parametrize(
    "code, error",
    [
        ("integrity", SecretDamaged),
        ("sealed", HostUnavailable),
        ("unavailable", HostUnavailable),
        ("rate_limited", HostUnavailable),
        ("internal", HostUnavailable),
        ("invalid_token", TokenRefused),
    ],
)
def test_what_the_host_cannot_say_is_an_error(host, plugin, code, error, impatient):
    async def check():
        datasette = await made(host)
        host.everything, host.values = code, {"ONE": "1"}
        with pytest.raises(error) as caught:
            await get_secret(datasette, "ONE")
        assert caught.value.code == code and TOKEN not in str(caught.value)
        host.everything = None
        assert await get_secret(datasette, "ONE") == "1"

    asyncio.run(check())


def test_many_at_once_while_the_host_is_restarted(host, plugin):
    async def check():
        datasette = await made(host)
        host.values = {"ONE": "1", "TWO": "2"}
        host.stop()
        threading.Timer(0.3, host.start).start()
        found = await asyncio.gather(*(get_secret(datasette, name) for name in ["ONE", "TWO"] * 25))
        assert found == ["1", "2"] * 25

    asyncio.run(check())


def test_the_loop_goes_on(host, plugin):
    async def check():
        datasette = await made(host)
        host.values, host.hold = {"ONE": "1"}, threading.Event()
        reading = asyncio.create_task(get_secret(datasette, "ONE"))
        while not reads(host):
            await asyncio.sleep(0)  # which would not come back if the loop were blocked
        assert not reading.done()
        host.hold.set()
        assert await reading == "1"

    asyncio.run(check())


def test_a_host_that_is_silent(host, plugin):
    async def check():
        datasette = await made(host, timeout=0.2)
        host.hold = threading.Event()
        with pytest.raises(HostUnavailable, match="in time"):
            await get_secret(datasette, "ONE")
        host.hold.set()

    asyncio.run(check())


def test_event_loops(host, plugin):
    host.values = {"ONE": "1"}
    datasette = asyncio.run(made(host))
    for _ in range(3):
        assert asyncio.run(get_secret(datasette, "ONE")) == "1"
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(get_secret(datasette, "ONE")))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["1"] * 5


class Page:
    """A page that asks for the same again and again, as those of datasette-extract do."""

    @hookimpl
    def register_routes(self):
        async def page(datasette, request):
            from datasette import Response

            found = [await get_secret(datasette, "ONE", actor) for actor in (None, "root") * 20]
            return Response.text(" ".join(map(str, found)))

        return [(r"^/-/page$", page)]


def test_a_request_asks_once(host, plugin):
    page = Page()
    pm.register(page)

    async def check():
        datasette = await made(host)
        for value in ("1", "2"):
            host.requests.clear()
            host.values = {"ONE": value}
            assert (await visit(datasette, "/-/page")).text.split() == [value] * 40
            assert reads(host) == [("ONE", {}), ("ONE", {"actor": "root"})]
            # Outside of a request nothing is kept.
            host.values = {"ONE": "later"}
            assert await get_secret(datasette, "ONE") == "later"

    try:
        asyncio.run(check())
    finally:
        pm.unregister(page)


def test_offline(host, plugin, tmp_path, monkeypatch, impatient):
    path = str(tmp_path / "internal.db")
    host.values = {"ONE": "hunter2", "TWO": "2"}

    async def check():
        datasette = await made(host, path, offline={"max-age": "1h"})
        assert await get_secret(datasette, "ONE", "root") == "hunter2"
        host.stop()
        assert await get_secret(datasette, "ONE", "root") == "hunter2"
        for name, actor in [("TWO", "root"), ("ONE", None), ("ONE", "ann")]:
            with pytest.raises(HostUnavailable):  # which it never got
                await get_secret(datasette, name, actor)
        again = await made(host, path, offline={"max-age": "1h"})
        assert await get_secret(again, "ONE", "root") == "hunter2"
        without = await made(host, path)
        with pytest.raises(HostUnavailable):
            await get_secret(without, "ONE", "root")
        data = open(path, "rb").read()
        assert b"datasette_secrets_offline" in data and b"hunter2" not in data and TOKEN.encode() not in data
        for hours in (2, -2):
            monkeypatch.setattr(
                "cryptography.fernet.time", SimpleNamespace(time=lambda hours=hours: time.time() + hours * 3600)
            )
            with pytest.raises(HostUnavailable):
                await get_secret(again, "ONE", "root")

    asyncio.run(check())


def test_offline_values_cannot_be_swapped_or_forged(host, plugin, tmp_path, impatient):
    path = str(tmp_path / "internal.db")
    host.values = {"ONE": "1", "TWO": "2"}

    async def check():
        datasette = await made(host, path, offline={"max-age": "1h"})
        await get_secret(datasette, "ONE"), await get_secret(datasette, "TWO")
        host.stop()
        with sqlite3.connect(path) as db:
            rows = dict(db.execute("select id, encrypted from datasette_secrets_offline").fetchall())
            one, two = sorted(rows)
            db.execute("update datasette_secrets_offline set encrypted = ? where id = ?", (rows[two], one))
            db.execute("update datasette_secrets_offline set encrypted = 'x' where id = ?", (two,))
        for name in ("ONE", "TWO"):
            with pytest.raises(HostUnavailable):
                await get_secret(datasette, name)

    asyncio.run(check())


def test_offline_values_go_with_the_right_to_them(host, plugin, impatient):
    host.values = {"ONE": "1", "TWO": "2"}

    async def check():
        datasette = await made(host, offline={"max-age": "1h"})
        await get_secret(datasette, "ONE"), await get_secret(datasette, "TWO")
        host.refusals = {"ONE": "denied"}
        assert await get_secret(datasette, "ONE") is None
        host.everything = "sealed"
        assert await get_secret(datasette, "TWO") == "2"
        with pytest.raises(HostUnavailable):
            await get_secret(datasette, "ONE")
        host.everything = "invalid_token"
        for _ in range(2):
            with pytest.raises(TokenRefused):
                await get_secret(datasette, "TWO")
        host.stop()
        with pytest.raises(HostUnavailable):
            await get_secret(datasette, "TWO")

    asyncio.run(check())


@pytest.mark.parametrize(
    "config", [{"host": "http://secrets.example.com"}, {"token": ""}, {"token": {"$env": "UNSET"}}]
)
def test_mistakes_stop_the_start(host, config):
    from datasette.utils import StartupError

    async def check():
        with pytest.raises(StartupError, match="datasette-secrets"):
            await made(host, **config)

    asyncio.run(check())


def test_a_token_in_a_file_is_read_again(host, plugin, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    host.values = {"ONE": "1"}

    async def check():
        datasette = await made(host, token={"$file": str(path)})
        assert await get_secret(datasette, "ONE") == "1"
        path.write_text("dssc_" + "w" * 49)
        with pytest.raises(TokenRefused):
            await get_secret(datasette, "ONE")
        path.write_text(TOKEN)
        assert await get_secret(datasette, "ONE") == "1"

    asyncio.run(check())


async def visit(datasette, path, actor=ROOT, method="GET", cookies=None, **more):
    cookies = {**({"ds_actor": datasette.client.actor_cookie(actor)} if actor else {}), **(cookies or {})}
    return await datasette.client.request(method, path, cookies=cookies, **more)


@pytest.mark.parametrize("pages, base", [(None, "/"), ("https://secrets.example.com/pre/", "/"), (None, "/x/")])
def test_redirect(host, plugin, pages, base):
    async def check():
        datasette = await made(host, settings={"base_url": base}, **({"pages": pages} if pages else {}))
        where = (pages or host.url).rstrip("/")
        for path in ("/-/secrets", "/-/secrets/ONE", "/-/secrets/ONE/-/delete"):
            answer = await visit(datasette, path)
            assert (answer.status_code, answer.headers["location"]) == (302, where + path)
            for actor in (None, {"id": "bob"}):
                refused = await visit(datasette, path, actor)
                assert refused.status_code == 403 and "location" not in refused.headers
        assert (await visit(datasette, "/-/secrets-host/-/secrets")).status_code == 404
        home = await visit(datasette, "/")
        assert f'<a href="{base}-/secrets">Manage secrets</a>' in home.text
        assert "Manage secrets" not in (await visit(datasette, "/", {"id": "bob"})).text

    asyncio.run(check())


def test_pages_of_a_socket_need_an_address(socket_host, plugin):
    async def check():
        answer = await visit(await made(socket_host), "/-/secrets")
        assert answer.status_code == 501 and "pages" in answer.text

    asyncio.run(check())


def test_proxy(socket_host, plugin, impatient):
    host = socket_host

    async def check():
        datasette = await made(host, mode="proxy")
        host.requests.clear()
        answer = await visit(
            datasette,
            "/-/secrets/ONE?a=b%20c",
            cookies={"other": "x", "ds_messages": "m"},
            headers={
                "X-Forwarded-For": "1.2.3.4",
                "Accept": "text/html",
                "Authorization": "Bearer " + TOKEN,
                "Sec-Fetch-Site": "same-origin",
                "Connection": "Upgrade",
            },
        )
        assert (answer.status_code, answer.text) == (200, "page of /-/secrets/ONE")
        assert "server-timing" not in answer.headers
        method, path, query, headers, _ = host.requests[-1]
        headers = {name.lower(): value for name, value in headers.items()}
        assert (method, path, query) == ("GET", "/-/secrets/ONE", {"a": "b c"})
        assert "authorization" not in headers and "x-forwarded-for" not in headers
        assert (
            "ds_actor=" in headers["cookie"]
            and "ds_messages=m" in headers["cookie"]
            and "other" not in headers["cookie"]
        )
        assert headers["sec-fetch-site"] == "same-origin" and headers["accept"] == "text/html"

        answer = await visit(datasette, "/-/secrets/GONE", method="POST", data={"secret": "x"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/-/secrets")
        assert answer.headers["set-cookie"].startswith("ds_messages=x") and "x-other" not in answer.headers
        assert host.requests[-1][4] == b"secret=x"

        for path, asked in {
            "/-/secrets": "/-/secrets",
            "/-/secrets/ONE/-/delete": "/-/secrets/ONE/-/delete",
            "/-/secrets-host/-/plugins": "/-/plugins",
            "/-/secrets/a%20b": "/-/secrets/a%20b",
        }.items():
            assert (await visit(datasette, path)).status_code == 200
            assert host.requests[-1][1] == asked
        asked = len(host.requests)
        for path in (
            "/-/secrets",
            "/-/secrets/ONE",
            "/-/secrets-host/-/plugins",
            "/-/secrets-host/-/static/../secrets",
        ):
            for actor in (None, {"id": "bob"}):
                assert (await visit(datasette, path, actor)).status_code in (403, 404)
        crossed = await visit(
            datasette, "/-/secrets/ONE", method="POST", data={"secret": "x"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert crossed.status_code == 403 and len(host.requests) == asked

        token = (
            datasette.create_token("root")
            if not asyncio.iscoroutinefunction(datasette.create_token)
            else await datasette.create_token("root")
        )
        answer = await visit(datasette, "/-/secrets/ONE", None, headers={"Authorization": "Bearer " + token})
        assert answer.status_code == 200 and host.requests[-1][3]["authorization"] == "Bearer " + token

        large = await visit(datasette, "/-/secrets/ONE", method="POST", content=b"x" * (5 << 20))
        assert large.status_code == 413
        host.stop()
        down = await visit(datasette, "/-/secrets")
        assert down.status_code == 502 and TOKEN not in down.text

    asyncio.run(check())


@pytest.mark.parametrize(
    "path",
    [
        "/-/secrets/../api/v1/secrets/ONE",
        "/-/secrets/..%2fapi/v1/secrets/ONE",
        "/-/secrets/%2e%2e/api/v1/secrets/ONE",
        "/-/secrets-host/-/api/v1/secrets/ONE",
        "/-/secrets-host//example.com/",
        "/-/secrets-host/-/static/%2e%2e/%2e%2e/-/secrets",
        "/-/secrets-host/-/static/..%2f..%2f-/secrets",
    ],
)
def test_no_way_through_the_proxy_to_the_api(host, plugin, path):
    async def check():
        datasette = await made(host, mode="proxy")
        host.values = {"ONE": "hunter2"}
        host.requests.clear()
        for actor in (None, ROOT):
            answer = await visit(datasette, path, actor)
            assert "hunter2" not in answer.text
            if actor is None:
                assert answer.status_code != 200 or "page of /-/secrets" not in answer.text
        for *_, headers, _ in host.requests:
            assert TOKEN not in json.dumps(headers)

    asyncio.run(check())


def test_public_names():
    for (
        name
    ) in "Secret get_secret get_secrets get_config get_database startup SCHEMA MAX_NOTE_LENGTH hookspecs pm".split():
        assert hasattr(datasette_secrets, name)
    assert datasette_secrets.pm is pm
    with pytest.raises(AttributeError):
        datasette_secrets.nothing
    assert issubclass(HostUnavailable, SecretsError)
