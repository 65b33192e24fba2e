"""Prints ds_actor cookies as Datasette signs them, as JSON.

Arguments: the secret, and a JSON list of what to sign.
"""

import json
import sys

from datasette.app import Datasette

datasette = Datasette(memory=True, secret=sys.argv[1])
print(json.dumps([datasette.sign(value, "actor") for value in json.loads(sys.argv[2])]))
