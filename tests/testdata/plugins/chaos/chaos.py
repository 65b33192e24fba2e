"""The plugin of main.go in Python."""

import ctypes
import sys
import threading
import time

from datasette_secrets_plugin import Secret, SecretsError, serve


class Chaos:
    def register_secrets(self):
        return [Secret(sys.argv[1], description="What to do")]

    def start(self, host):
        done, first = "", True
        while not host.stopping.is_set():
            order = read(host)
            if order != done and not first:
                obey(host, order)
            done, first = order, False
            time.sleep(0.1)


def read(host):
    try:
        return host.get_secret(sys.argv[1], "chaos").reveal()
    except SecretsError:
        return ""


def obey(host, order):
    match order.split(" ")[0]:
        case "flood":
            for i in range(2000):
                print("flood " * 200, i, file=sys.stderr)
                if i % 20 == 0:
                    threading.Thread(target=read, args=[host], daemon=True).start()
        case "hang":
            ctypes.PyDLL(None).sleep(3600)  # with the lock that every thread needs


serve(Chaos())
