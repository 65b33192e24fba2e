"""The plugin of ../probe in Python: it does what a test asks it to do.

It speaks the same protocol on the same kind of socket, so that harness.Probe is
the other end of both. Besides the questions of its sibling it is asked

    {"op": "many", "names": ["KEY", …], "actor": "root"}

and answers {"values": {"KEY": "hunter2"}, "errors": {"OTHER": "secret is not set"}}.
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
        changes = Changes(host)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, args=(host, changes, listener), daemon=True).start()
        host.stopping.wait()


class Changes:
    """What the host tells of all secrets, from the first question on."""

    def __init__(self, host):
        self.host = host
        self.lock = threading.Lock()
        self.told = None

    def so_far(self):
        with self.lock:
            if self.told is None:
                self.told = []
                threading.Thread(target=self.collect, daemon=True).start()
            return list(self.told)

    def collect(self):
        for change in self.host.watch():
            self.told.append({"Kind": change.kind, "Name": change.name, "Version": change.version})


def accept(host, changes, listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(host, changes, connection), daemon=True).start()


def converse(host, changes, connection):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            question = json.loads(line)
            try:
                answer = ask(host, changes, question)
            except SecretsError as error:
                answer = {"error": class_of(error), "message": str(error)}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


def class_of(error):
    return next((text for cls, text in CLASSES.items() if isinstance(error, cls)), "other")


def ask(host, changes, question):
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
    if question["op"] == "watch":
        return {"changes": changes.so_far()}
    if question["op"] == "many":
        found = host.get_secrets(question["names"], actor)
        return {
            "values": {name: value.reveal() for name, value in found.items()},
            "errors": {name: class_of(error) for name, error in found.errors.items()},
        }
    return {"config": host.config()}


serve(Probe())
