"""Prints the rows of a query on a database file, as JSON.

Arguments: the file and the query.
"""

import json
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1])
connection.row_factory = sqlite3.Row
rows = [dict(row) for row in connection.execute(sys.argv[2])]
print(json.dumps(rows, default=lambda blob: blob.decode()))
