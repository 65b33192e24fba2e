"""The host for tests of plugins, and through it what plugins can do."""

import threading
from pathlib import Path

import pytest

from datasette_secrets_plugin import (
    Change,
    Denied,
    MenuLink,
    NotApproved,
    NotSet,
    Redact,
    Sealed,
    Secret,
    SecretStatus,
    TestResult,
    Unavailable,
    current_actor,
    current_host,
)
from datasette_secrets_plugin import _answers
from datasette_secrets_plugin.testing import Use, run


class Weather:
    """Keeps its host for a test to use."""

    def register_secrets(self):
        return [
            Secret("KEY", "d", "https://example.com/", "l", "p", "e", True, Redact(1, 2)),
            Secret("OTHER"),
            Secret("KEY", "twice"),
        ]

    def start(self, host):
        self.host = host


def test_what_is_declared():
    with run(Weather()) as host:
        assert host.declared == list(Weather().register_secrets())[:2]


def test_secrets():
    plugin = Weather()
    with run(plugin, secrets={"KEY": "hunter2", "HIDDEN": "x"}, config={"url": "u"}) as host:
        host.wait()
        value = plugin.host.get_secret("KEY", "ann")
        assert (value.reveal(), value.version) == ("hunter2", 1)
        assert host.uses == [Use("KEY", "ann")]
        with pytest.raises(Denied):
            plugin.host.get_secret("HIDDEN")
        with pytest.raises(NotSet):
            plugin.host.get_secret("OTHER")
        assert plugin.host.config() == {"url": "u"}
        assert plugin.host.list_secrets() == [SecretStatus("KEY", True, "database"), SecretStatus("OTHER", False, "")]
        assert plugin.host.can_access_secret("OTHER") and not plugin.host.can_access_secret("HIDDEN")
        host.set("KEY", "new")
        assert plugin.host.get_secret("KEY").version == 2
        host.deny("KEY", "ann")
        with pytest.raises(Denied):
            plugin.host.get_secret("KEY", "ann")
        assert not plugin.host.can_access_secret("KEY", "ann")
        host.unset("KEY")
        with pytest.raises(NotSet):
            plugin.host.get_secret("KEY")
        host.fail(Sealed())
        with pytest.raises(Sealed):
            plugin.host.get_secret("KEY")
        host.fail(None)
        assert len(host.uses) == 2


def test_many_secrets_at_once():
    plugin = Weather()
    names = [f"N{i}" for i in range(250)]
    plugin.register_secrets = lambda: [Secret(name) for name in names]
    with run(plugin, secrets=dict.fromkeys(names[1:], "v")) as host:
        host.wait()
        found = plugin.host.get_secrets([*names, *names, "HIDDEN"], "ann")
        assert len(found) == 249 == len(host.uses) and found["N249"].reveal() == "v" and found["N1"].version == 1
        assert list(found) == names[1:] and "N0" not in found
        assert [(name, type(error).__name__) for name, error in found.errors.items()] == [
            ("N0", "NotSet"),
            ("HIDDEN", "NotDeclared"),
        ]
        with pytest.raises(NotSet, match="getting secret 'N0': secret is not set"):
            found["N0"]
        with pytest.raises(Denied):
            found["HIDDEN"]
        with pytest.raises(KeyError):
            found["NEVER ASKED"]
        assert "v" not in repr(found["N1"]) and "[redacted]" in repr(found)
        host.fail(Unavailable())
        found = plugin.host.get_secrets(["N1", "N2"])
        assert not found and len(found.errors) == 2
        with pytest.raises(Unavailable, match="getting 2 secrets: temporarily unavailable"):
            found["N2"]
        assert plugin.host.get_secrets([]).errors == {}


def test_async_plugins():
    class Async(Weather):
        async def start(self, host):
            found = await host.get_secrets(["KEY", "OTHER"])
            self.lengths = {name: len(value) for name, value in found.items()}
            self.seen = []
            async for change in host.watch("KEY"):
                self.seen.append(change)
                if change.kind == "revoked":
                    return

    plugin = Async()
    with run(plugin, secrets={"KEY": "hunter2"}) as host:
        host.until(lambda: getattr(plugin, "seen", None))
        assert plugin.lengths == {"KEY": 7}
        host.set("OTHER", "x")
        host.set("KEY", "y")
        host.unset("KEY")
        host.wait()
        assert plugin.seen == [Change("opened"), Change("updated", "KEY", 2), Change("revoked", "KEY", 3)]


def test_watches():
    class Watching(Weather):
        def start(self, host):
            self.seen = []
            for change in host.watch():
                self.seen.append(change)

    plugin = Watching()
    with run(plugin, secrets={"KEY": "1"}) as host:
        host.until(lambda: plugin.seen == [Change("opened")])
        host.set("HIDDEN", "x")
        host.set("KEY", "2")
        host.until(lambda: plugin.seen[1:] == [Change("updated", "KEY", 2)])
        host.fail(Unavailable())
        host.set("KEY", "3")
        host.fail(None)
        host.until(lambda: plugin.seen[2:] == [Change("updated", "KEY", 3)])
        host.resync()
        host.until(lambda: plugin.seen[3:] == [Change("resync")])


def test_values_are_kept_if_that_is_allowed():
    plugin = Weather()
    with run(plugin, secrets={"KEY": "1"}, max_age=60) as host:
        host.wait()

        def kept():
            before = len(host.uses)
            plugin.host.get_secret("KEY")
            return len(host.uses) == before

        host.until(kept)
        before = len(host.uses)
        assert plugin.host.get_secrets(["KEY", "OTHER"])["KEY"].reveal() == "1" and len(host.uses) == before
        host.set("KEY", "2")
        host.until(lambda: plugin.host.get_secret("KEY").reveal() == "2")
        host.until(kept)
        host.deny("KEY")
        with pytest.raises(Denied):
            host.until(lambda: plugin.host.get_secret("KEY") is None)


def test_how_start_ends():
    class Fails(Weather):
        def start(self, host):
            raise ValueError("no weather")

    with run(Fails()) as host:
        with pytest.raises(ValueError, match="no weather"):
            host.wait()
        assert host.log[-1]["@message"] == "the plugin failed" and host.log[-1]["@level"] == "error"

    class Needs(Weather):
        def start(self, host):
            host.get_secret("KEY")

    with run(Needs(), failing=NotApproved()) as host, pytest.raises(NotApproved):
        host.wait()

    class Stays(Weather):
        def start(self, host):
            host.logger.info("here", extra={"n": 1})
            host.stopping.wait()

    with run(Stays()) as host:
        host.until(lambda: [(line["@message"], line["n"]) for line in host.log] == [("here", 1)])


def test_what_a_host_would_not_take(monkeypatch):
    class Refuses:
        def register_secrets(self):
            raise ValueError("no secrets today")

    class Misnames:
        def register_secrets(self):
            return [Secret("A B")]

    class Stuck(Weather):
        def start(self, host):
            threading.Event().wait()

    for plugin, text in ((Refuses(), "no secrets today"), (Misnames(), "'A B'")):
        with pytest.raises(AssertionError, match=text), run(plugin):
            pass
    monkeypatch.setattr("datasette_secrets_plugin.testing._PATIENCE", 0.1)
    with pytest.raises(AssertionError, match="does not stop"), run(Stuck()) as host:
        with pytest.raises(AssertionError, match="did not return"):
            host.wait()
        with pytest.raises(AssertionError, match="it is not so"):
            host.until(lambda: False)
    with run(Weather()) as host, pytest.raises(AssertionError, match="no method test_secret"):
        host.test_secret("KEY", "x")


class Hooks(Weather):
    result = TestResult(True, "fine")
    links = (MenuLink("/x", "X"),)
    known = {"7": {"id": 7}}
    sender = None

    def test_secret(self, name, value):
        return self.result

    def menu_links(self, actor):
        current_host().get_secret("KEY")
        return self.links

    def actors_from_ids(self, ids):
        return self.known

    def actor_from_request(self, request):
        return self.sender

    def serve_http(self, environ, start_response):
        if environ["PATH_INFO"] == "/fails":
            raise ValueError("no weather")
        value = current_host().get_secret("KEY")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{current_actor()} {len(value)} ".encode(), environ["wsgi.input"].read()]


def test_hooks():
    plugin = Hooks()
    with run(plugin, secrets={"KEY": "hunter2"}) as host:
        assert host.test_secret("KEY", "x") == TestResult(True, "fine")
        assert host.menu_links() == [MenuLink("/x", "X")]
        assert host.menu_links({"id": "ann"}) == [MenuLink("/x", "X")]
        assert host.actors_from_ids("7") == {"7": {"id": 7}}
        assert host.actor_from_request() is None
        plugin.sender = {"id": "ann"}
        assert host.actor_from_request({"x-user": "ann"}) == {"id": "ann"}
        response = host.http("POST", "/a?b=c", actor={"id": 7}, body="body")
        assert (response.status, response.text) == (200, "{'id': 7} 7 body")
        assert response.headers["content-type"] == "text/plain"
        assert host.http("GET", "/").text == "None 7 "
        assert host.http("GET", "/fails").status == 500 and "no weather" in str(host.log)
        assert host.uses == [Use("KEY"), Use("KEY", "ann", True), Use("KEY", "7", True), Use("KEY")]


@pytest.mark.parametrize(
    ("attributes", "call", "text"),
    [
        ({"result": TestResult(False, "it is x")}, lambda host: host.test_secret("KEY", "x"), "holds the value"),
        ({"result": TestResult(False, "ü" * 151)}, lambda host: host.test_secret("KEY", "x"), "302 bytes"),
        ({"links": [MenuLink("//x", "X")]}, lambda host: host.menu_links(), "one slash"),
        ({"links": [MenuLink("javascript:x", "X")]}, lambda host: host.menu_links(), "http"),
        ({"links": [MenuLink("https://a@b/", "X")]}, lambda host: host.menu_links(), "http"),
        ({"links": [MenuLink("/a\\b", "X")]}, lambda host: host.menu_links(), "backslashes"),
        ({"links": [MenuLink("/" + "x" * 2000, "X")]}, lambda host: host.menu_links(), "2000 bytes"),
        ({"links": [MenuLink("/", " ")]}, lambda host: host.menu_links(), "label"),
        ({"links": [MenuLink("/", "X")] * 21}, lambda host: host.menu_links(), "21 links"),
        ({"known": {"7": {"id": "8"}}}, lambda host: host.actors_from_ids("7"), "asked for"),
        ({"known": {"7": {"id": "7", "x": "x" * 17000}}}, lambda host: host.actors_from_ids("7"), "16384 bytes"),
        ({"sender": {"id": "Root"}}, lambda host: host.actor_from_request(), "root"),
        ({"sender": {"id": 7}}, lambda host: host.actor_from_request(), "must be a text"),
        ({"sender": {"id": "a", "_r": {}}}, lambda host: host.actor_from_request(), "begin with"),
        ({"sender": {"id": "a", "Token": 1}}, lambda host: host.actor_from_request(), "begin with"),
    ],
)
def test_answers_that_a_host_would_not_take(attributes, call, text):
    plugin = Hooks()
    vars(plugin).update(attributes)
    with run(plugin, secrets={"KEY": "x"}) as host, pytest.raises(AssertionError, match=text):
        call(host)


def test_good_answers_of_unusual_form():
    plugin = Hooks()
    plugin.links = [MenuLink("https://example.com:8/é?x#y", "Ü"), MenuLink("http://[::1]/", "X")]
    with run(plugin, secrets={"KEY": "x"}) as host:
        assert host.menu_links() == plugin.links


def test_the_rules_are_those_of_the_host():
    source = (Path(__file__).parents[3] / "internal/pluginwire/answers.go").read_text()
    for name, text in {
        "MaxLinks ": str(_answers.MAX_LINKS),
        "MaxLabel ": str(_answers.MAX_LABEL),
        "MaxHref ": str(_answers.MAX_HREF),
        "MaxActorJSON ": f"{_answers.MAX_ACTOR >> 10} << 10",
        "MaxActorID ": str(_answers.MAX_ACTOR_ID),
        "MaxTestMessage ": str(_answers.MAX_MESSAGE),
    }.items():
        assert any(line.split("=")[-1].strip().startswith(text) for line in source.splitlines() if name in line), name
    for text in ("a path that begins with one slash", "_ or with token", "cannot be root", "backslashes"):
        assert text in source and text in Path(_answers.__file__).read_text()
