"""The plugin that MODE in the environment names, as pluginapi's tests have them."""

import asyncio
import os
import subprocess
import threading

from datasette_secrets_plugin import NotSet, Redact, Secret, SecretsError, serve

print("to standard output, before the handshake")


class Declares:
    version = "1.2.3"

    def register_secrets(self):
        return [Secret("KEY", "d", "u", "l", pattern="p", example="e", multiline=True, redact=Redact(suffix=4))]


class Works(Declares):
    def start(self, host):
        value = host.get_secret("KEY", "ann")
        host.logger.info("read", extra={"value": value, "length": len(value), "level": 1, "nested": [value]})
        try:
            host.get_secret("OTHER", "ann")
        except SecretsError as error:
            host.logger.warning("asked", extra={"not_set": isinstance(error, NotSet), "text": str(error)})
        print("to standard output, which belongs to the protocol")
        subprocess.run(["echo", "from a subprocess"], check=True)
        host.stopping.wait()
        host.logger.info("stopping")


class WorksAsync(Declares):
    async def register_secrets(self):
        return super().register_secrets()

    async def start(self, host):
        both = await asyncio.gather(host.get_secret("KEY", "ann"), host.get_secret("KEY"))
        host.logger.info("read", extra={"value": both[0], "length": len(both[1])})
        try:
            await host.get_secret("OTHER")
        except NotSet:
            host.logger.warning("asked")
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            host.logger.info("stopping")


class Fails(Declares):
    def start(self, host):
        password = "hunter2"
        raise ValueError("no weather today" if password else "")


class FailsAsync(Declares):
    async def start(self, host):
        raise ValueError("no weather today")


class Exits(Declares):
    def start(self, host):
        raise SystemExit("no weather today")


class Refuses:
    asked = 0

    def register_secrets(self):
        self.asked += 1
        if self.asked == 1:
            raise ValueError("no secrets today")
        return [Secret("KEY")]


class RefusesAs:
    def register_secrets(self):
        raise NotSet("no secrets today")


class IgnoresTheEnd(Declares):
    def start(self, host):
        threading.Thread(target=threading.Event().wait).start()  # keeps the interpreter from ending
        host.logger.info("for ever")
        threading.Event().wait()


class Lingers(Declares):
    def start(self, host):
        threading.Thread(target=threading.Event().wait).start()
        host.logger.info("asked")


class Boasts:
    def register_secrets(self):
        return [Secret("KEY", "x" * (4 << 20))]


class Confused:
    def register_secrets(self):
        return ["KEY"]


serve(globals()[os.environ["MODE"]]())
