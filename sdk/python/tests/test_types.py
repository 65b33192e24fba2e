import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]

AUTHOR = """
import asyncio

from datasette_secrets_plugin import AsyncHost, Host, Secret, Value, serve


class Plain:
    def register_secrets(self) -> list[Secret]:
        return [Secret("KEY")]

    def start(self, host: Host) -> None:
        value: Value = host.get_secret("KEY")


class Async:
    async def register_secrets(self) -> list[Secret]:
        return [Secret("KEY", obtain_url=None)]

    async def start(self, host: AsyncHost) -> None:
        value: Value = await host.get_secret("KEY", "ann", timeout=1)


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
