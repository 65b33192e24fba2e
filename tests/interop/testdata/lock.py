"""Holds a lock on a database file until standard input ends.

Arguments: the file, and how to begin: "immediate" or "exclusive".
"""

import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin " + sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
connection.execute("rollback")
