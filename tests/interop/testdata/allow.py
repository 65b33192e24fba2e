"""Asks Datasette's actor_matches_allow about many cases and prints the answers
as JSON: true, false, or "error" where it raises an exception.

Argument: a JSON file with a list of [actor, allow].
"""

import json
import sys

from datasette.utils import actor_matches_allow


def ask(actor, allow):
    try:
        return bool(actor_matches_allow(actor, allow))
    except Exception:
        return "error"


with open(sys.argv[1]) as file:
    print(json.dumps([ask(actor, allow) for actor, allow in json.load(file)]))
