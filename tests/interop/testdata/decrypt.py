"""Prints every version of every secret in a database file, decrypted by
Python's own Fernet, as JSON: a list of [name, version, value].

Arguments: the file and the key.
"""

import json
import sqlite3
import sys

from cryptography.fernet import Fernet

key = Fernet(sys.argv[2])
rows = sqlite3.connect(sys.argv[1]).execute(
    "select name, version, encrypted from datasette_secrets order by name, version"
)
print(json.dumps([[name, version, key.decrypt(token).decode()] for name, version, token in rows]))
