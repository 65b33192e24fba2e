"""Generate src/datasette_secrets_plugin/_pb from the protocol buffers.

Run it as "make generate"; it needs the grpcio-tools of tests/requirements.txt.
Another folder can be given as the argument.

The files are compiled under the path that they have in the package. So their
imports are right, and no other package in a plugin's process can have a file
of the same name, which Python's protobuf would refuse.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PACKAGE = Path("datasette_secrets_plugin", "_pb")
SOURCES = (
    HERE / "../../pluginapi/proto/host.proto",
    HERE / "../../pluginapi/proto/plugin.proto",
    HERE / "proto/wire.proto",
)


def generate(folder: Path) -> None:
    """Write the generated package below folder."""
    with tempfile.TemporaryDirectory() as staged:
        target = Path(staged, PACKAGE)
        target.mkdir(parents=True)
        for source in SOURCES:
            shutil.copy(source, target)
        code = protoc.main(
            [
                "protoc",
                f"-I{staged}",
                f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
                f"--python_out={folder}",
                f"--pyi_out={folder}",
                *(str(target / source.name) for source in SOURCES),
            ]
        )
        code = code or protoc.main(
            [
                "protoc",
                f"-I{staged}",
                f"--grpc_python_out={folder}",
                *(str(target / source.name) for source in SOURCES[:2]),
            ]
        )
    if code != 0:
        sys.exit("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "src")
