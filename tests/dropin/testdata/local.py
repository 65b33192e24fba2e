"""What datasette-secrets does with a local database, as JSON.

It runs with PyPI's datasette-secrets and with sdk/datasette, and must print the
same. What PyPI's pages have wrong in their HTML is put right before.
"""

import asyncio
import html
import json
import os
import re
import sqlite3
import sys
import tempfile

from cryptography.fernet import Fernet
from datasette import hookimpl
from datasette.app import Datasette
from datasette.plugins import pm

import datasette_secrets
from datasette_secrets import Secret, get_config, get_database, get_secret, get_secrets

KEY = "-LujHtwFWGaBpznrV1zduoZBmCnMOW7J0H5hmeXgAVo="
OTHER_KEY = Fernet.generate_key().decode()
told = {}


def tell(what, value):
    assert what not in told, what
    told[what] = value


class Plugin:
    """A plugin of Datasette that declares what it is given."""

    def __init__(self, *declared, wrap=lambda declared: declared):
        self.declared, self.wrap = declared, wrap

    @hookimpl
    def register_secrets(self):
        return self.wrap(list(self.declared))


class WithArgument:
    @hookimpl
    def register_secrets(self, datasette):
        return (Secret("OF_" + type(datasette).__name__.upper()),)


class Early:
    @hookimpl(tryfirst=True)
    def register_secrets(self):
        return [Secret("ZERO")]


class Nothing:
    @hookimpl
    def register_secrets(self):
        return None


class Failing:
    @hookimpl
    def register_secrets(self):
        raise RuntimeError("not ready")


class People:
    @hookimpl
    def actors_from_ids(self, datasette, actor_ids):
        assert isinstance(actor_ids, set), actor_ids
        known = {"root": {"id": "root", "name": "The Root", "username": "Ruth"}, "ann": {"id": "ann", "name": "Ann"}}
        return {one: known.get(one) for one in actor_ids}


class plugins:
    """Plugins that are registered for a while."""

    def __init__(self, *them):
        self.them = them

    def __enter__(self):
        for plugin in self.them:
            pm.register(plugin)

    def __exit__(self, *problem):
        for plugin in self.them:
            pm.unregister(plugin)


async def made(internal=None, permissions={"manage-secrets": {"id": ["root", "ann"]}}, memory=True, **config):
    datasette = Datasette(
        memory=memory,
        internal=internal,
        secret="1",
        config={"plugins": {"datasette-secrets": config} if config else {}, "permissions": permissions},
    )
    await datasette.invoke_startup()
    return datasette


async def outcome(awaitable):
    try:
        return await awaitable
    except Exception as error:
        return type(error).__name__


def text(page):
    """What a reader sees of the part of a page that is about secrets, and what its form sends."""
    page = re.sub(r"(<input[^<>]*?)(\s*</p>)", r"\1>\2", page)  # PyPI's has an input without an end
    content = re.search(r'(?s)<section class="content">(.*?)</section>', page)
    content = content[1] if content else page
    fields = [
        dict(sorted(re.findall(r'([a-z]+)="([^"]*)"', tag)))
        for tag in re.findall(r"(?s)<(?:form|textarea|input)\b[^>]*>", content)
    ]
    links = re.findall(r'<a href="([^"]*)">([^<]*)</a>', content)
    for field in fields:
        field.pop("style", None)
        field.pop("autocomplete", None)
        field.pop("spellcheck", None)
        if field.get("name") == "csrftoken":
            field["value"] = "some"
        if field.get("type") == "submit":
            field.pop("value")  # PyPI's says Add when it updates
        if field.get("value") == "None":
            field["value"] = ""  # a note that is null
    words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", content)).split()).replace(" None ", " ")
    title = re.search(r"(?s)<title>(.*?)</title>", page)
    required = bool(re.search(r"(?s)<textarea[^>]*\srequired", content))
    return {"title": title and title[1].strip(), "words": words, "links": links, "fields": fields, "required": required}


def rows(path):
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        found = [dict(row) for row in db.execute("select * from datasette_secrets order by id")]
    for row in found:
        encrypted = row["encrypted"]
        try:
            row["encrypted"] = Fernet(KEY).decrypt(encrypted).decode()
        except Exception:
            row["encrypted"] = "damaged"
        for column in ("created_at", "updated_at", "deleted_at", "last_used_at"):
            row[column] = bool(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[column] or "")) or row[column]
    return found


def cookie(datasette, actor):
    return {"ds_actor": datasette.client.actor_cookie(actor)} if actor else {}


async def visit(datasette, path, actor={"id": "root"}, **form):
    cookies = cookie(datasette, actor)
    if form:
        answer = await datasette.client.post(path, data=form, cookies=cookies)
    else:
        answer = await datasette.client.get(path, cookies=cookies)
    found = {"status": answer.status_code, "location": answer.headers.get("location")}
    if answer.status_code == 200 or answer.status_code == 400:
        page = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", answer.text)
        found["page"] = text(page)
        found["menu"] = re.findall(r'<a href="(/[^"]*secrets)">([^<]*)</a></li>', page)
    if "ds_messages" in answer.cookies:
        found["messages"] = datasette.unsign(answer.cookies["ds_messages"], "messages")
    return found


async def declarations():
    a = Plugin(Secret("ONE", "one of A"), Secret("TWO"))
    b = Plugin(Secret("ONE", "one of B"), Secret("THREE", None, "https://example.com/", "Get it"))
    datasette = await made(**{"encryption-key": KEY})

    async def show(what, *them):
        with plugins(*them):
            found = await outcome(get_secrets(datasette))
            tell(what, found if isinstance(found, str) else [vars(one) for one in found])

    await show("nobody declares")
    await show("the last registered is first, and the first declaration counts", a, b, Early())
    await show("a hook with the argument, and one that answers nothing", WithArgument(), Nothing())

    async def later():
        return [Secret("LATER")]

    await show("an async function", Plugin(wrap=lambda _: later))
    await show("a coroutine", Plugin(wrap=lambda _: later()))
    await show("a function", Plugin(Secret("FUNCTION"), wrap=lambda declared: lambda: declared))
    with plugins(Failing()):
        tell("a failing hook and get_secret", await outcome(get_secret(datasette, "ONE")))
        tell("a failing hook and the page", (await visit(datasette, "/-/secrets"))["status"])
    tell("positions of Secret", vars(Secret("a", "b", "c", "d")))
    try:
        Secret("a", description_html="b")
    except TypeError as error:
        tell("an unknown argument of Secret", type(error).__name__)
    tell("equal", Secret("a") == Secret("a"))


async def reading(folder):
    path = os.path.join(folder, "reading.db")
    datasette = await made(path, **{"encryption-key": KEY})
    with plugins(
        Plugin(*map(Secret, ["ONE", "EMPTY", "NULL", "BINARY", "DELETED", "UNSET", "FOO-BAR_API_KEY", "a b"]))
    ):
        tell("not set", await get_secret(datasette, "UNSET"))
        await visit(datasette, "/-/secrets/ONE", secret=" hunter2\n", note="")
        tell("a value", await get_secret(datasette, "ONE"))
        tell("used by nobody", rows(path))
        tell("a value for an actor", await get_secret(datasette, "ONE", "root"))
        tell("used by root", rows(path))
        tell("a value for an actor by name", await get_secret(datasette, secret_name="ONE", actor_id=""))
        tell("used by nobody again", rows(path))
        await visit(datasette, "/-/secrets/ONE", secret="hunter3", note="")
        tell("the newest version", await get_secret(datasette, "ONE", "ann"))
        tell("only the newest is used", rows(path))
        os.environ["DATASETTE_SECRETS_ONE"] = "  of the environment\n"
        tell("the environment goes before", await get_secret(datasette, "ONE", "bob"))
        tell("the environment is no use of the database", rows(path))
        os.environ["DATASETTE_SECRETS_ONE"] = ""
        tell("an empty variable is none", await get_secret(datasette, "ONE"))
        del os.environ["DATASETTE_SECRETS_ONE"]
        os.environ["DATASETTE_SECRETS_UNDECLARED"] = "x"
        tell("undeclared in the environment", await get_secret(datasette, "UNDECLARED"))
        await visit(datasette, "/-/secrets/UNDECLARED2", secret="x", note="")
        tell("undeclared in the database", await get_secret(datasette, "UNDECLARED2"))
        await visit(datasette, "/-/secrets/FOO-BAR_API_KEY", secret="x", note="")
        tell("a hyphen", await get_secret(datasette, "FOO-BAR_API_KEY"))
        with sqlite3.connect(path) as db:

            def insert(name, encrypted, **more):
                columns = {"name": name, "encrypted": encrypted, "encryption_key_name": "default", **more}
                db.execute(
                    "insert into datasette_secrets ({}) values ({})".format(
                        ", ".join(columns), ", ".join("?" for _ in columns)
                    ),
                    list(columns.values()),
                )

            fernet = Fernet(KEY)
            insert("EMPTY", fernet.encrypt(b""))
            insert("NULL", None)
            insert("BINARY", fernet.encrypt(b"\xff"))
            insert("DELETED", fernet.encrypt(b"still there").decode(), deleted_at="2024-01-01 00:00:00")
            insert("a b", fernet.encrypt_at_time(b"of the future", 1 << 33))
        tell("an empty value", await get_secret(datasette, "EMPTY"))
        tell("a null", await outcome(get_secret(datasette, "NULL")))
        tell("not UTF-8", await outcome(get_secret(datasette, "BINARY")))
        tell("deleted, as text", await get_secret(datasette, "DELETED"))
        tell("of the future, a name with a space", await get_secret(datasette, "a b"))
        other = await made(path, **{"encryption-key": OTHER_KEY})
        tell("another key", await outcome(get_secret(other, "ONE")))
        bad = await made(path, **{"encryption-key": "nonsense"})
        tell("a bad key", await outcome(get_secret(bad, "ONE")))
        tell("a bad key and no row", await outcome(get_secret(bad, "UNSET")))
        tell("a bad key and a post", (await visit(bad, "/-/secrets/ONE", secret="x", note=""))["status"])
        tell("nothing was stored", len(rows(path)))


async def unconfigured():
    for what, config in {
        "nothing": {},
        "an empty key": {"encryption-key": ""},
        "the old name": {"encryption_key": KEY},
    }.items():
        datasette = await made(**config)
        with plugins(Plugin(Secret("ONE"))):
            tell(what + ": get_config", get_config(datasette))
            tell(what + ": get_secret", await get_secret(datasette, "ONE"))
            os.environ["DATASETTE_SECRETS_ONE"] = "x"
            tell(what + ": environment", await get_secret(datasette, "ONE"))
            del os.environ["DATASETTE_SECRETS_ONE"]
            tell(what + ": secret", await visit(datasette, "/-/secrets/ONE"))
            tell(what + ": index", (await visit(datasette, "/-/secrets"))["status"])
            tell(what + ": menu", (await visit(datasette, "/"))["menu"])
    os.environ["THE_KEY"] = KEY
    datasette = await made(**{"encryption-key": {"$env": "THE_KEY"}, "database": "_internal"})
    tell("a key of the environment", get_config(datasette))


async def a_served_database(folder):
    path = os.path.join(folder, "kept.db")
    sqlite3.connect(path).execute("vacuum")
    datasette = Datasette(
        [path],
        secret="1",
        config={
            "plugins": {"datasette-secrets": {"encryption-key": KEY, "database": "kept"}},
            "permissions": {"manage-secrets": {"id": "root"}},
        },
    )
    await datasette.invoke_startup()
    tell("get_database", get_database(datasette).name)
    tell("a config with a database", get_config(datasette))
    with plugins(Plugin(Secret("ONE"))):
        tell("set there", await visit(datasette, "/-/secrets/ONE", secret="x", note="n"))
        tell("read there", await get_secret(datasette, "ONE", "root"))
    tell("its rows", rows(path))


async def pages(folder):
    path = os.path.join(folder, "pages.db")
    datasette = await made(path, **{"encryption-key": KEY})
    tell("a fresh index", await visit(datasette, "/-/secrets"))
    tell("not signed in", await visit(datasette, "/-/secrets", actor=None))
    tell("not allowed", await visit(datasette, "/-/secrets/ONE", actor={"id": "bob"}))
    tell("not allowed to post", await visit(datasette, "/-/secrets/ONE", actor={"id": "bob"}, secret="x"))
    tell("home of root", (await visit(datasette, "/"))["menu"])
    tell("home of bob", (await visit(datasette, "/", actor={"id": "bob"}))["menu"])
    declared = [
        Secret("ONE", "The <b>first</b> & best"),
        Secret("TWO", None, "https://example.com/?a&b", "Get & go"),
        Secret("THREE", "Third", "https://example.com/3", "Get 3"),
        Secret("FOUR", "No label", "https://example.com/4"),
    ]
    with plugins(Plugin(*declared), People()):
        tell("an index", await visit(datasette, "/-/secrets"))
        for name in ("ONE", "TWO", "THREE", "FOUR", "NOBODYS"):
            tell("a form: " + name, await visit(datasette, "/-/secrets/" + name))
        tell("a note that is too long", await visit(datasette, "/-/secrets/ONE", secret="x", note="n" * 101))
        tell("no value", await visit(datasette, "/-/secrets/ONE", secret=" \x1c\n", note="n"))
        tell("nothing is stored", rows(path))
        tell("a first value", await visit(datasette, "/-/secrets/ONE", secret="\x1f\u2003 a\r\nb \n", note=" n" * 50))
        tell("a note only", await visit(datasette, "/-/secrets/ONE", actor={"id": "ann"}, secret="", note="<i>new</i>"))
        tell("the same note", await visit(datasette, "/-/secrets/ONE", secret="", note="<i>new</i>"))
        tell("a form with a note", await visit(datasette, "/-/secrets/ONE"))
        tell("no note field", await visit(datasette, "/-/secrets/ONE", secret=""))
        tell("a second value", await visit(datasette, "/-/secrets/ONE", actor={"id": "carl"}, secret="c", note=""))
        tell("one without permission left no row", len(rows(path)))
        await visit(datasette, "/-/secrets/FOUR", actor={"id": "ann"}, secret="4", note="four")
        await visit(datasette, "/-/secrets/NOBODYS", actor={"id": 7}, secret="5", note="")
        os.environ["DATASETTE_SECRETS_TWO"] = os.environ["DATASETTE_SECRETS_FOUR"] = "x"
        tell("the index of all kinds", await visit(datasette, "/-/secrets"))
        del os.environ["DATASETTE_SECRETS_TWO"], os.environ["DATASETTE_SECRETS_FOUR"]
        tell("the index without environment", await visit(datasette, "/-/secrets"))
        tell("what is stored", rows(path))
        for odd in ("foo%20bar", "foo%2Fbar", "X.json", "%E2%82%AC"):
            tell("an odd name: " + odd, await visit(datasette, "/-/secrets/" + odd, secret="x", note=""))
        tell("odd names", [row["name"] for row in rows(path)])
        tell("an index with odd names", await visit(datasette, "/-/secrets"))
        for other in ("/-/secrets/", "/-/secrets/X/", "/-/secrets.json", "/-/secrets/X/Y"):
            tell("the path " + other, await visit(datasette, other))
    everyone = await made(**{"encryption-key": KEY}, permissions={"manage-secrets": True})
    tell("everyone may look", (await visit(everyone, "/-/secrets", actor=None))["status"])
    tell("nobody may change", (await visit(everyone, "/-/secrets/ONE", actor=None, secret="x"))["status"] >= 400)
    tell("an actor without id", await visit(everyone, "/-/secrets/ONE", actor={"name": "x"}, secret="x", note=""))
    datasette = Datasette(
        secret="1",
        settings={"base_url": "/pre/"},
        config={
            "plugins": {"datasette-secrets": {"encryption-key": KEY}},
            "permissions": {"manage-secrets": {"id": "root"}},
        },
    )
    await datasette.invoke_startup()
    tell("below a prefix", await visit(datasette, "/-/secrets"))
    tell("a form below a prefix", await visit(datasette, "/-/secrets/ONE"))
    tell("a post below a prefix", await visit(datasette, "/-/secrets/ONE", secret="x", note=""))


async def itself():
    datasette = await made(**{"encryption-key": KEY})
    found = (await datasette.client.get("/-/plugins.json")).json()
    tell(
        "the plugin",
        [
            {key: one[key] for key in ("name", "static", "templates", "hooks")}
            for one in found
            if one["name"] == "datasette-secrets"
        ],
    )
    tell("the action", [str(action) for name, action in datasette.actions.items() if name == "manage-secrets"])
    names = (
        "Secret get_secret get_secrets get_config get_database startup SCHEMA MAX_NOTE_LENGTH hookspecs pm "
        "register_actions register_commands register_routes menu_links secrets_index secrets_update"
    )
    tell("names", [name for name in names.split() if not hasattr(datasette_secrets, name)])
    tell("the longest note", datasette_secrets.MAX_NOTE_LENGTH)
    tell("the schema", re.sub(r"\s+", " ", datasette_secrets.SCHEMA).strip())


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await itself()
        await declarations()
        await reading(folder)
        await unconfigured()
        await a_served_database(folder)
        await pages(folder)


sys.stderr = open(os.devnull, "w")  # Datasette prints every exception
problem = None
try:
    asyncio.run(main())
except Exception:
    import traceback

    problem = traceback.format_exc()
if problem:
    sys.stderr = sys.__stderr__
    sys.exit(problem)
json.dump(told, sys.stdout, indent=1)
