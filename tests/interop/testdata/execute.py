"""Runs statements on a database file and prints null.

Arguments: the file and the statements.
"""

import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1])
connection.executescript(sys.argv[2])
connection.close()
print("null")
