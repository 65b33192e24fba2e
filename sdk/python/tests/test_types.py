import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]

AUTHOR = """
import asyncio

from collections.abc import Iterable
from typing import Any

from datasette_secrets_plugin import (
    Actor,
    AsyncHost,
    Host,
    MenuLink,
    Redact,
    RequestMeta,
    Secret,
    TestResult,
    Value,
    current_actor,
    current_host,
    serve,
)
from datasette_secrets_plugin.testing import run


class Plain:
    def register_secrets(self) -> list[Secret]:
        return [Secret("KEY")]

    def start(self, host: Host) -> None:
        value: Value = host.get_secret("KEY")
        found = host.get_secrets(["KEY"])
        version: int = found["KEY"].version + len(found.errors)
        for change in host.watch("KEY"):
            name: str = change.name + change.kind

    def test_secret(self, name: str, value: Value) -> TestResult:
        return TestResult(len(value) > 3)

    def menu_links(self, actor: Actor | None) -> list[MenuLink]:
        return [MenuLink("/", str((actor or {}).get("id")))]

    def actor_from_request(self, request: RequestMeta) -> Actor | None:
        return {"id": request.headers["x-user"]}

    def serve_http(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        current_host().get_secret("KEY")
        return [str(current_actor()).encode()]


def test_plain() -> None:
    with run(Plain(), secrets={"KEY": "k"}) as host:
        status: int = host.http("GET", "/", actor={"id": "ann"}).status
        names: list[str] = [use.name for use in host.uses]


class Async:
    async def register_secrets(self) -> list[Secret]:
        return [Secret("KEY", obtain_url=None, redact=Redact(suffix=4))]

    async def start(self, host: AsyncHost) -> None:
        value: Value = await host.get_secret("KEY", "ann", timeout=1)
        async for change in host.watch():
            version: int = change.version


serve(Plain() if asyncio else Async())
"""


def mypy(*arguments):
    return subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=HERE, capture_output=True, text=True)


def test_types(tmp_path):
    checked = mypy("--cache-dir", tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_types_of_a_plugin(tmp_path):
    (tmp_path / "author.py").write_text(AUTHOR)
    checked = mypy("--cache-dir", tmp_path, str(tmp_path / "author.py"))
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "author.py").write_text(AUTHOR.replace('[Secret("KEY")]', '["KEY"]'))
    checked = mypy("--cache-dir", tmp_path, str(tmp_path / "author.py"))
    assert checked.returncode == 1 and "Secret" in checked.stdout
