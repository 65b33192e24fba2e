"""Asks Datasette for pages under many configurations, and prints the statuses
as JSON: a list for each configuration, with a list for each visitor.

Argument: a JSON file with "secret", "worlds" (each with "config", "root" and
"default_deny"), "visitors" (headers) and "paths".
"""

import asyncio
import json
import sys

from datasette.app import Datasette


async def status(app, path, headers):
    "Asks for a page. datasette.client does the same, several times slower."
    found = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")]
        + [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    return found[0]


async def ask(question, world):
    datasette = Datasette(
        memory=True,
        secret=question["secret"],
        config=world["config"],
        default_deny=world["default_deny"],
    )
    datasette.root_enabled = world["root"]
    await datasette.invoke_startup()
    statuses = []
    app = datasette.app()
    for headers in question["visitors"]:
        statuses.append([await status(app, path, headers) for path in question["paths"]])
    datasette.close()
    return statuses


async def main():
    with open(sys.argv[1]) as file:
        question = json.load(file)
    print(json.dumps([await ask(question, world) for world in question["worlds"]]))


asyncio.run(main())
