"""Reads secrets as a program without Datasette does. ALPHA is set, BETA is not, and others are not for it."""

import os
import sys

from datasette_secrets.client import SecretNotFound, Secrets, TokenRefused, secrets

assert secrets["ALPHA"] == "one\n two"
assert secrets.get("BETA") is None and secrets.get("OTHER", "x") == "x"
assert "ALPHA" in secrets and "BETA" not in secrets and "OTHER" not in secrets
assert list(secrets) == ["ALPHA"] and len(secrets) == 1
for name in ("BETA", "OTHER", "../secrets/ALPHA", "ALPHA/", "%41LPHA"):
    try:
        secrets[name]
        raise AssertionError(name)
    except SecretNotFound:
        pass
assert Secrets(actor_id="ann")["ALPHA"] == "one\n two"
child = os.fork()
if child == 0:
    os._exit(0 if secrets["ALPHA"] == "one\n two" else 1)
assert os.waitpid(child, 0)[1] == 0
try:
    Secrets(token="dssc_" + "a" * 49)["ALPHA"]
    raise AssertionError("a wrong token")
except TokenRefused as error:
    assert "aaaa" not in str(error)
assert "datasette" not in sys.modules
print("as it should be")
