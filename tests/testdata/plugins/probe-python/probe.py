"""The plugin of ../probe in Python: it does what a test asks it to do.

It speaks the same protocol on the same kind of socket, so that harness.Probe is
the other end of both.
"""

import json
import pathlib
import socket
import sys
import threading
import time

from datasette_secrets_plugin import (
    Denied,
    IntegrityError,
    NotConfigured,
    NotSet,
    Sealed,
    Secret,
    SecretsError,
    Unavailable,
    serve,
)

# The errors, under the text that the Go probe gives for each.
CLASSES = {
    NotSet: "secret is not set",
    Denied: "permission denied",
    NotConfigured: "datasette-secrets has not been configured",
    Sealed: "host is sealed",
    IntegrityError: "stored secret cannot be read with the configured keys",
    Unavailable: "temporarily unavailable",
}


class Probe:
    def register_secrets(self):
        program = pathlib.Path(sys.argv[0])
        name = program.name.removeprefix("datasette-secrets-plugin-")
        declared = json.loads(program.with_name(f"{name}.json").read_text())
        if declared.get("Refuse"):
            raise RuntimeError("told to refuse")
        return [
            Secret(s["Name"], s["Description"], s["ObtainURL"], s["ObtainLabel"]) for s in declared["Secrets"] or []
        ]

    def start(self, host):
        path = host.config().get("socket")
        if not path:
            return
        pathlib.Path(path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, args=(host, listener), daemon=True).start()
        host.stopping.wait()


def accept(host, listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(host, connection), daemon=True).start()


def converse(host, connection):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            question = json.loads(line)
            try:
                answer = ask(host, question)
            except SecretsError as error:
                text = next((text for cls, text in CLASSES.items() if isinstance(error, cls)), "other")
                answer = {"error": text, "message": str(error)}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


def ask(host, question):
    name, actor = question.get("name"), question.get("actor")
    if question["op"] == "get":
        began = time.monotonic_ns()
        for _ in range(max(question.get("times", 1), 1)):
            value = host.get_secret(name, actor)
        return {"value": value.reveal(), "nanoseconds": time.monotonic_ns() - began}
    if question["op"] == "can":
        return {"allowed": host.can_access_secret(name, actor)}
    if question["op"] == "list":
        return {"secrets": [{"Name": s.name, "Set": s.set, "Source": s.source} for s in host.list_secrets()]}
    return {"config": host.config()}


serve(Probe())
